"""Drives a job from where it stands to its end: steps, records, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evaluators.job import Job
from outputs.run_directory import RunDirectory
from outputs.tensorboard import TensorBoardLog

CHECKPOINT_SECONDS = 120.0
"""Longest time between two checkpoints within an epoch; one is also written after every epoch."""


def drive(
    job: Job,
    run: RunDirectory | None,
    *,
    title: str,
    after_epoch: Callable[[dict[str, Any]], Mapping[Any, Any] | None] = lambda record: None,
) -> None:
    """Runs a job to its end, going on from the newest checkpoint of its run.

    Args:
        job: At step 0.
        run: Where to write; None for the processes that do not.
        title: For the progress bar.
        after_epoch: Called with the record of each epoch; returns shares of the edges, if there are any.

    Raises:
        InputError: If a loss is not finite (the last good state stays on the disk), or the disk is full.
    """
    if run is None:
        while job.step < job.total_steps:
            job.advance()
            if job.step % job.steps_per_epoch == 0:
                job.report()
        return
    board = TensorBoardLog(run.path, job.step if job.step else None)
    with _progress(title, job) as moved:
        saved = epoch_began = time.monotonic()
        while job.step < job.total_steps:
            job.advance()
            moved()
            now = time.monotonic()
            if job.step % job.steps_per_epoch == 0:
                figures = job.report()
                now = time.monotonic()
                record: dict[str, Any] = {"epoch": job.step // job.steps_per_epoch, "step": job.step}
                record |= figures | {"epoch_seconds": round(now - epoch_began, 3)}
                run.log(record)
                board.log(job.step, figures | {"epoch_seconds": now - epoch_began}, after_epoch(record))
                run.save_checkpoint(job.state_dict(), job.step)
                saved = epoch_began = time.monotonic()
            elif now - saved > CHECKPOINT_SECONDS:
                job.check()
                run.save_checkpoint(job.state_dict(), job.step)
                saved = time.monotonic()
    board.close()


@contextmanager
def _progress(title: str, job: Job) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task(title, total=job.total_steps, completed=job.step)
        yield lambda: progress.update(bar, completed=job.step)
