"""What runs end with, read again: tables, comparisons, fronts."""

from __future__ import annotations

from typing import TypeVar

from autola.runs import going_on
from foundation.config import parse_json
from foundation.errors import InputError
from outputs.run_directory import RunDirectory

T = TypeVar("T")


def read_conclusion(run: RunDirectory, name: str, kind: type[T]) -> T:
    """Reads the record that a run ends with.

    Args:
        run: The run.
        name: The record, which is there.
        kind: What it holds.

    Raises:
        InputError: If it is damaged; says that it may be made anew, as it follows from the other records.
    """
    try:
        return parse_json(kind, run.text(name), str(run.path / name))
    except InputError as error:
        raise InputError(f"{error}; delete it, and {going_on(run)} makes it anew") from None
