"""Follows workers: what they log is logged here, and a bar shows how far they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autola.working.attempt import LOG, WORK
from autola.working.worklist import Seen, WorkList

log = logging.getLogger(__name__)


class Following:
    """Logs here what workers write into the logs of items."""

    def __init__(self, worklist: WorkList) -> None:
        self._worklist = worklist
        self._read = dict[str, int]()
        for seen in worklist.open():
            path = self._path(seen.name)
            if seen.number >= 0 and path.is_file():
                self._read[seen.name] = path.stat().st_size
        worklist.news()

    def look(self, seen: Sequence[Seen], bar: Progress | None = None) -> None:
        """Logs what is new of some items, and of those that have ended since."""
        lines = list[str]()
        for name in (*(each.name for each in seen if each.number >= 0), *self._worklist.news()):
            lines += self._new(name)
        if lines and bar is not None:
            bar.stop()  # else the line would begin behind the bar
        for line in lines:
            log.info("%s", line)
        if lines and bar is not None:
            bar.start()

    def _new(self, name: str) -> list[str]:
        try:
            with self._path(name).open("rb") as file:
                file.seek(self._read.get(name, 0))
                content = file.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read[name] = self._read.get(name, 0) + len(whole)
        lines = whole.decode("utf-8", errors="replace").splitlines()
        return [line for line in lines if not line.startswith("| ")]  # not the tracebacks

    def _path(self, name: str) -> Path:
        return self._worklist.whole / name / WORK / LOG


@contextmanager
def progress_bar(worklist: WorkList) -> Iterator[tuple[Progress, Any]]:
    """One bar for the epochs of all items, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = len(worklist.names) * worklist.listed.epochs
    # Drawn at every look, and not by a thread, beside which workers could not be forks of this process.
    drawn: Any = {"disable": not console.is_terminal, "transient": True, "auto_refresh": False}
    with Progress(*columns, console=console, **drawn) as bar:
        yield bar, bar.add_task("epochs", total=total)
