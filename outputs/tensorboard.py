"""TensorBoard events of a run: losses, accuracies, shares of the primitives on every edge, entropy, time."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from foundation.files import no_space, out_of_space
from search_space.cell import edge_name

FOLDER = "tensorboard"

_PREFIX = "events.out.tfevents."

_numbers = count()


class TensorBoardLog:
    """Writes events under a run folder, in the thread that calls it: a full disk is its error, not another's.

    Args:
        run: The run folder.
        resumed_at: Step after which the job goes on: events of later steps, left by a process that was
            stopped, are hidden.

    Raises:
        InputError: If the disk is full.
    """

    def __init__(self, run: Path, resumed_at: int = 0) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2

        events: Any = event_pb2
        summaries: Any = summary_pb2
        self._event, self._summary = events.Event, summaries.Summary
        folder = run / FOLDER
        own = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        try:
            folder.mkdir(exist_ok=True)
            self._path = folder / f"{_PREFIX}{_stamp(folder):010d}.{own}"
            self._file = self._path.open("ab")
            self._write(file_version="brain.Event:2")
            # Hides the step that it names, too.
            self._write(step=resumed_at + 1, session_log=events.SessionLog(status=events.SessionLog.START))
        except OSError as error:
            raise _failure(error, folder) from None

    def log(
        self,
        step: int,
        metrics: Mapping[str, float | None],
        shares: Mapping[tuple[int, int], Mapping[str, float]] | None = None,
    ) -> None:
        """Writes one value a metric that has one, and one a primitive of each edge.

        Raises:
            InputError: If the disk is full.
        """
        values = {name: value for name, value in metrics.items() if value is not None}
        for edge, row in (shares or {}).items():
            values |= {f"shares/{row_name(edge)}/{operator}": share for operator, share in row.items()}
        one = self._summary.Value
        points = [one(tag=re.sub(r"[^-/\w.]", "_", tag), simple_value=value) for tag, value in values.items()]
        try:
            self._write(step=step, summary=self._summary(value=points))
        except OSError as error:
            raise _failure(error, self._path) from None

    def close(self) -> None:
        """Ends the file, which holds all events already."""
        with contextlib.suppress(OSError):  # what a full disk did not take, `log` has reported
            self._file.close()

    def _write(self, **fields: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = self._event(wall_time=time.time(), **fields)
        RecordWriter(self._file).write(event.SerializeToString())
        self._file.flush()


def _stamp(folder: Path) -> int:
    """The second in a new file's name: readers take files by name, and this is the last."""
    names = (path.name.removeprefix(_PREFIX).partition(".")[0] for path in folder.glob(f"{_PREFIX}*"))
    return max([int(time.time()), *(int(name) + 1 for name in names if name.isdecimal())])


def _failure(error: OSError, path: Path) -> Exception:
    return no_space(path) if out_of_space(error) else error


def row_name(row: tuple[int, int] | str) -> str:
    """What the shares of an edge, or of a site, are called."""
    return row if isinstance(row, str) else edge_name(*row)
