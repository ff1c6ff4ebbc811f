"""How fast a job runs: a few of its steps, an evaluation and a checkpoint, timed on this machine."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from evaluators.job import Job
from evaluators.tasks import Counted, Split
from evaluators.train import Training
from outputs.run_directory import RunDirectory
from outputs.tensorboard import TensorBoardLog
from outputs.weights import save_weights

WARM_UP = 2
"""Steps before the first that is timed: they allocate, and fill the buffers of what reads ahead."""

LEAST = 4
"""Steps that are timed at least."""

BUDGET = 10.0
"""Seconds after which no further step of a kind, or pass of an evaluation, is timed."""


Timer = Callable[[], float]
"""Seconds from some beginning."""

TIMER: Timer = time.perf_counter
"""What is looked at; `benchmarks.estimates` looks at the processor's time instead."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What parts of a training take, in seconds, and what it writes, in bytes.

    Attributes:
        step: A step.
        epoch_end: What follows the last step of an epoch: evaluation, figures, records, checkpoint.
        end: What follows the last epoch: the test set, the weights.
        checkpoint: A checkpoint within an epoch.
        checkpoint_bytes: Its size.
        kept_bytes: What stays of a run.
        steps: How many steps were timed.
    """

    step: float
    epoch_end: float
    end: float
    checkpoint: float
    checkpoint_bytes: int
    kept_bytes: int
    steps: int


def since_start() -> float:
    """Seconds since this process began: what went by before Python looked at a clock is counted."""
    return time.time() - psutil.Process().create_time()


class Clock:
    """Times what runs on a device.

    Args:
        device: What is waited for before the clock is read.
        budget: Seconds after which no further step of a kind, or pass of an evaluation, is timed.
    """

    def __init__(self, device: torch.device, budget: float = BUDGET) -> None:
        self.device, self.budget = device, budget

    def now(self) -> float:
        """Seconds from some beginning, when all that was asked of the device is done."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return TIMER()

    def of(self, act: Callable[[], object]) -> float:
        """Seconds that something takes."""
        begin = self.now()
        act()
        return self.now() - begin

    def steps(self, advance: Callable[[], object], most: int, share: float = 1.0) -> tuple[float, int]:
        """Mean seconds of a step, and how many were timed.

        Args:
            advance: Does a step.
            most: Steps that there are.
            share: Of the budget.
        """
        for _ in range(min(WARM_UP, most - 1)):
            advance()
        begin, count = self.now(), 0
        while count < max(1, most - WARM_UP):
            advance()
            count += 1
            if count >= LEAST and self.now() - begin > share * self.budget:
                break
        return (self.now() - begin) / count, count


class _EnoughError(Exception):
    """Ends an evaluation that has been timed."""


def evaluation_seconds(
    clock: Clock, model: nn.Module, evaluate: Callable[[], object], num_passes: int | None
) -> float:
    """Seconds of an evaluation; of a long one, a part is done and the rest worked out.

    Args:
        clock: Times it.
        model: Its forward passes are counted.
        evaluate: Evaluates.
        num_passes: Forward passes of it all; None where nobody knows, and then it is done in full.
    """
    times = list[float]()

    def count(*_: Any) -> None:
        times.append(clock.now())
        if num_passes and LEAST < len(times) < num_passes and times[-1] - times[0] > clock.budget:
            raise _EnoughError

    handle = model.register_forward_pre_hook(count)
    begin = clock.now()
    try:
        evaluate()
    except _EnoughError:
        assert num_passes is not None
        each = (times[-1] - times[0]) / (len(times) - 1)
        return times[0] - begin + each * num_passes
    finally:
        handle.remove()
    return clock.now() - begin


def of_training(job: Training, run: RunDirectory, clock: Clock) -> Pace:
    """The pace of a training, which is at step 0 and of no use afterwards.

    Args:
        job: What is timed.
        run: A run folder for its records, on the disk where they are going to be.
        clock: Times it.
    """

    def advance() -> None:
        if job.step == job.total_steps:
            job.step = 0
        has, job.task.has_validation = job.task.has_validation, False  # that is timed by itself
        try:
            job.advance()
        finally:
            job.task.has_validation = has

    step, count = clock.steps(advance, most=max(job.total_steps, WARM_UP + LEAST))
    end_of_epoch = 0.0
    if job.task.has_validation:
        end_of_epoch = _evaluation(job, "validation", clock)
        if job.config.select == "best":
            job.best = copy.deepcopy(job.trained().state_dict())
    job.step = job.steps_per_epoch
    job.validation = {job.task.score: 0.0} if job.task.has_validation else {}
    writing = Writing(job, run, clock)
    end = _evaluation(job, "test", clock) + clock.of(
        lambda: save_weights(run.path / "weights.safetensors", job.task.model.state_dict())
    )
    return Pace(
        step=step,
        epoch_end=end_of_epoch + writing.record,
        end=end,
        checkpoint=writing.checkpoint,
        checkpoint_bytes=writing.checkpoint_bytes,
        kept_bytes=(run.path / "weights.safetensors").stat().st_size
        + writing.record_bytes * job.config.epochs,
        steps=count,
    )


def _evaluation(job: Training, split: Split, clock: Clock) -> float:
    task = job.task
    passes = task.num_passes(split) if isinstance(task, Counted) else None
    return evaluation_seconds(clock, job.trained(), lambda: task.evaluate(job.trained(), split), passes)


class Writing:
    """What the records of an epoch take, as `drive` writes them.

    Attributes:
        record: Seconds of the records of an epoch, with its checkpoint.
        checkpoint: Seconds of a checkpoint.
        checkpoint_bytes: Its size.
        record_bytes: Bytes of the rest.
    """

    def __init__(self, job: Job, run: RunDirectory, clock: Clock, shares: Any = None) -> None:
        figures: dict[str, float | None] = {}

        def record() -> None:
            figures.update(job.report())
            run.metrics.append({"epoch": 1, "step": job.step, **figures})
            board = TensorBoardLog(run.path)
            board.log(job.step, figures, shares)
            board.close()

        begin = clock.now()
        record()
        between = clock.now()
        before = _size(run.path)
        self.record_bytes = before
        run.save_checkpoint(job.state_dict(), job.step)
        self.checkpoint = clock.now() - between
        self.record = clock.now() - begin
        self.checkpoint_bytes = _size(run.path) - before


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
