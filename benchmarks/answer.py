"""How a benchmark answers: one JSON object with `--json`, a table without."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import tyro


class Asked(Protocol):
    """Options of a benchmark."""

    @property
    def json(self) -> bool:
        """Whether to print one JSON object alone."""
        ...


A = TypeVar("A", bound=Asked)


def answer(
    kind: type[A],
    about: str | None,
    measure: Callable[[A], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Reads the options, measures and prints the figures."""
    options = tyro.cli(kind, description=about)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
    else:
        show(figures)
