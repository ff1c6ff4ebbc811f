"""trackio (https://github.com/gradio-app/trackio): figures in a database on this machine."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, ClassVar
from uuid import uuid4

from foundation.errors import InputError
from outputs.trackers import TRACKERS, Start

_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Variables that have trackio send figures away, from where it cannot say which steps it has."""


@TRACKERS.register("trackio")
class Trackio:
    """trackio: a database on this machine, in TRACKIO_DIR or trackio's own folder.

    Trackio finds runs by project and name, so the name gets six random characters more: another run folder
    of the same name is another run.
    """

    package: ClassVar[str] = "trackio"
    install: ClassVar[str] = "pip install 'autola[trackio]'"

    def __init__(self, start: Start) -> None:
        self._trackio = importlib.import_module("trackio")
        self._storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
        self.id = start.id or f"{start.name}-{uuid4().hex[:6]}"
        self._project, self._last = start.experiment, 0
        with _silence():
            self._run: Any = self._trackio.init(
                project=start.experiment,
                name=self.id,
                resume="allow",
                config={**start.settings, "environment": dict(start.tags)},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._rows = list[Mapping[str, Any]](self._storage.get_logs(self._project, self.id))

    @staticmethod
    def prepare() -> None:
        for name in _ELSEWHERE:
            if os.environ.get(name):
                raise InputError(
                    f"--tracker trackio writes to this machine alone; unset {name}, and send what was "
                    "tracked by trackio's own `trackio sync`"
                )

    def steps(self, name: str) -> set[int]:
        return {row["step"] for row in self._rows if name in row}

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._last = step
        self._run.log(dict(figures), step=step)

    def conclude(self, texts: Mapping[str, str]) -> None:
        missing = {name: text for name, text in texts.items() if not self.steps(name)}
        if missing:
            self._run.log(missing, step=self._last)

    def close(self) -> None:
        with _silence():
            self._trackio.finish()


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps from standard output, which is for results, what trackio says there."""
    with redirect_stdout(io.StringIO()):
        yield
