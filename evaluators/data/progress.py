"""A bar for long jobs, where somebody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds before a bar appears."""


def tracked(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Passes `items` on; after `PATIENCE` seconds a bar counts them, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=total)
    started, shown = time.monotonic(), False
    try:
        for count, item in enumerate(items):
            yield item
            if not shown and time.monotonic() - started > PATIENCE:
                bar.start()
                shown = True
            if shown:
                bar.update(task, completed=count + 1)
    finally:
        bar.stop()
