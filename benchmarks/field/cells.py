"""The cells of the table: what is tried, where, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.field.work import Work

Act = Callable[["Work", str], str]
"""Tries a case in a column; gives what came of it in a line, or raises `WrongError`."""


@dataclass(frozen=True)
class Cell:
    """A case in a column.

    Attributes:
        kind: Letter of the kind.
        case: What is nearly right, in words.
        column: Task or command that it is given to.
        act: Tries it.
    """

    kind: str
    case: str
    column: str
    act: Act


CELLS: list[Cell] = []
"""All of them, in the order of the table."""


def tried(kind: str, case: str, *columns: str) -> Callable[[Act], Act]:
    """Decorator that has a case tried in some columns."""

    def register(act: Act) -> Act:
        CELLS.extend(Cell(kind, case, column, act) for column in columns)
        return act

    return register
