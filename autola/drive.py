"""Drives a job from where it stands to its end: steps, records, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autola.runtime import in_first
from autola.stopping import asked, polite
from evaluators.job import Job
from outputs.run_directory import RunDirectory
from outputs.tensorboard import TensorBoardLog
from outputs.tracking import Tracking

CHECKPOINT_SECONDS = 120.0
"""Longest time between two checkpoints within an epoch; one is also written after every epoch."""


def drive(
    job: Job,
    run: RunDirectory,
    fabric: Fabric,
    tracking: Tracking,
    *,
    title: str,
    after_epoch: Callable[[dict[str, Any]], Mapping[Any, Any] | None] = lambda record: None,
) -> None:
    """Runs a job to its end, going on from the newest checkpoint of its run.

    Args:
        job: The job, at step 0 or where its newest checkpoint left it.
        run: The run folder, which the first process writes to.
        fabric: Device and processes.
        tracking: The trackers that each record goes to as well.
        title: Text beside the progress bar.
        after_epoch: Called with the record of each epoch; returns shares of the edges, if there are any.

    Raises:
        InputError: If a loss is not finite (the last good state stays on the disk), or the disk is full.
        KeyboardInterrupt: If somebody asked it to stop, after a checkpoint; where several processes share
            it, at once.
    """
    alone = fabric.world_size == 1
    board = TensorBoardLog(run.path, job.step) if fabric.is_global_zero else None

    def record(figures: Mapping[str, float | None], seconds: float) -> None:
        assert board is not None
        line: dict[str, Any] = {"epoch": job.step // job.steps_per_epoch, "step": job.step}
        line |= {**figures, "epoch_seconds": round(seconds, 3)}
        run.metrics.append(line)
        board.log(job.step, {**figures, "epoch_seconds": seconds}, after_epoch(line))
        run.save_checkpoint(job.state_dict(), job.step)
        tracking.log(line)  # last: a tracker that is slow keeps no checkpoint waiting

    with (
        closing(board) if board else nullcontext(),
        _progress(title, job, shown=board is not None) as moved,
        polite() if alone else nullcontext(),
    ):
        saved = epoch_began = time.monotonic()
        while job.step < job.total_steps:
            job.advance()
            moved()
            if job.step % job.steps_per_epoch == 0:
                figures = job.report()
                seconds = time.monotonic() - epoch_began
                in_first(fabric, lambda: record(figures, seconds))  # noqa: B023, called at once
                saved = epoch_began = time.monotonic()
            elif board and ((alone and asked()) or time.monotonic() - saved > CHECKPOINT_SECONDS):
                job.check()
                run.save_checkpoint(job.state_dict(), job.step)
                saved = time.monotonic()
            if alone and asked() and job.step < job.total_steps:
                raise KeyboardInterrupt


@contextmanager
def _progress(title: str, job: Job, *, shown: bool) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        bar = progress.add_task(title, total=job.total_steps, completed=job.step)
        yield lambda: progress.update(bar, completed=job.step)
