"""What a run will take on this machine: time, memory and disk, from a few of its steps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from lightning.fabric import Fabric

from autola import pace
from autola.configs import RetrainConfig, SearchConfig, TaskSearch
from autola.drive import CHECKPOINT_SECONDS
from autola.executors import executor_of
from autola.member import first_step, members_of
from autola.memory import Memory
from autola.pace import BUDGET, Clock, Pace, of_training
from autola.paces import of_search
from autola.plans import plan_of
from autola.problem import search_problem
from autola.runs import RUNS
from autola.runtime import make_fabric, own_state
from autola.working import check_devices
from autola.working.processes import may_fork
from evaluators.tasks import Setting
from foundation.cores import usable_cores
from foundation.errors import InputError
from outputs.run_directory import RunDirectory
from search_space.grammar import label

KEPT = 3
"""Checkpoints that lie on the disk at once: two, and the one that is being written."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a run: a search, or the training of an attention with a seed.

    Attributes:
        name: What it is.
        count: How often the run does it.
        seconds: What one takes.
        steps: Steps of one.
        step_seconds: Mean time of a step; of searches with several kinds of steps, that of the first.
        timed_steps: How many steps were timed.
        checkpoint_bytes: Size of a checkpoint.
        kept_bytes: What one leaves on the disk.
    """

    name: str
    count: int
    seconds: float
    steps: int
    step_seconds: float
    timed_steps: int
    checkpoint_bytes: int
    kept_bytes: int


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will take.

    Attributes:
        seconds: From the start of the command to its end.
        start_seconds: What of that goes by before the first step: imports, reading the data.
        memory_bytes: Largest memory of the processes of the run together.
        device_bytes: Largest memory on the GPU; None without one.
        disk_bytes: Most that the run folder has at any time.
        kept_bytes: What it has in the end.
        free_memory_bytes: Memory that is free now.
        free_disk_bytes: Disk that is free now where the run would be.
        device: Where it computes.
        parts: What the run consists of.
        notes: What else is to be known.
    """

    seconds: float
    start_seconds: float
    memory_bytes: int
    device_bytes: int | None
    disk_bytes: int
    kept_bytes: int
    free_memory_bytes: int
    free_disk_bytes: int
    device: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How an estimate is made.

    Attributes:
        out: Where the run folder would be; None for ./outputs/runs.
        jobs: Trainings side by side.
        budget: Seconds of steps that are timed of each kind.
        whole: Whether the time counts from the start of this process, instead of from now.
    """

    out: Path | None = None
    jobs: int = 1
    budget: float = BUDGET
    whole: bool = False

    @property
    def folder(self) -> Path:
        """The nearest folder above the run folder that is there."""
        path = (self.out or RUNS).absolute()
        return next(folder for folder in path.parents if folder.is_dir())


Measure = Callable[[Fabric, RunDirectory, Callable[[], None]], list[Part]]
"""Given device, a folder for records, and what is to be called when the data are read: the parts of a run."""


def estimate_search(config: SearchConfig | TaskSearch, way: Way = Way()) -> Estimate:
    """What a search will take.

    Raises:
        InputError: If the config or the data is wrong, or the search computes in several processes.
    """
    if config.engine == "nni":
        raise InputError(
            "trials of --engine nni are processes of their own, whose share of the machine is not measured; "
            "leave it out, for the time of one trial after the other"
        )
    if not config.of_places:  # else the space comes with the network
        config.searcher.check_budget(config.resolved_space())
    plan_of(config).check(config)

    def measure(fabric: Fabric, run: RunDirectory, ready: Callable[[], None]) -> list[Part]:
        problem, _ = search_problem(replace(config, target=config.target[:1]), fabric)
        ready()
        timed = of_search(config.searcher, problem, run, Clock(fabric.device, way.budget))
        return [Part(name=config.searcher.name, count=len(config.target) or 1, **vars(timed))]

    return _estimate(config, way, measure)


def estimate_retraining(config: RetrainConfig, way: Way = Way()) -> Estimate:
    """What a retraining will take.

    Raises:
        InputError: If the config or the data is wrong, or a training computes in several processes.
    """
    if not config.attentions:
        raise InputError("name at least one attention, for example: none se cbam hoga")
    check_devices(executor_of("here", way.jobs), config)
    config.task.refuse_unused(config.train)

    def measure(fabric: Fabric, run: RunDirectory, ready: Callable[[], None]) -> list[Part]:
        setting = config.task.read(config.train, fabric)
        ready()
        clock, parts = Clock(fabric.device, way.budget), list[Part]()
        for number in range(len(config.attentions)):
            folder = run.path / f"attention-{number}"
            folder.mkdir()
            parts.append(_training(config, number, setting, fabric, RunDirectory(folder), clock))
        return parts

    return _estimate(config, replace(way, jobs=min(way.jobs, len(members_of(config)))), measure)


def _training(
    config: RetrainConfig, number: int, setting: Setting, fabric: Fabric, run: RunDirectory, clock: Clock
) -> Part:
    begin = clock.now()
    job = first_step(config, setting, config.attentions[number], config.seeds[0], fabric)
    build = clock.now() - begin
    timed = of_training(job, run, clock)
    seeds = len(config.seeds)  # before the first training, every attention is built once to be checked
    return Part(
        name=label(config.attentions[number]),
        count=seeds,
        seconds=build * (seeds + 1) / seeds + training_seconds(timed, job.total_steps, job.steps_per_epoch),
        steps=job.total_steps,
        step_seconds=timed.step,
        timed_steps=timed.steps,
        checkpoint_bytes=timed.checkpoint_bytes,
        kept_bytes=timed.kept_bytes,
    )


def training_seconds(timed: Pace, total_steps: int, steps_per_epoch: int) -> float:
    """Seconds of a training from its first step to its end."""
    epoch = steps_per_epoch * timed.step
    epoch += timed.epoch_end + int(epoch / CHECKPOINT_SECONDS) * timed.checkpoint
    return total_steps / steps_per_epoch * epoch + timed.end


def _estimate(config: SearchConfig | TaskSearch | RetrainConfig, way: Way, measure: Measure) -> Estimate:
    began = pace.TIMER() - (pace.since_start() if way.whole else 0.0)
    if config.devices * config.machines > 1:
        raise InputError("one process alone is measured; leave out --devices and --machines")
    start, first = 0.0, 0
    with own_state(config, on=executor_of("here", way.jobs)), _scratch(way.folder) as run:
        fabric = make_fabric(config)
        forks = may_fork(gpus=fabric.device.type == "cuda", threads=torch.get_num_threads())
        if fabric.world_size > 1:
            raise InputError("one process alone is measured; start the command without torchrun or Slurm")

        def ready() -> None:
            nonlocal start, first
            start, first = pace.TIMER() - began, psutil.Process().memory_info().rss

        with Memory(fabric.device) as memory:
            parts = measure(fabric, run, ready)
        peak, device_peak = memory.peak(), memory.device_peak()
    trainings = [part for part in parts for _ in range(part.count)]
    kept = sum(part.kept_bytes for part in trainings)
    largest = sorted((part.checkpoint_bytes for part in trainings), reverse=True)[: way.jobs]
    estimate = Estimate(
        seconds=start + side_by_side([part.seconds for part in trainings], way.jobs, 0.0 if forks else start),
        start_seconds=start,
        memory_bytes=peak if way.jobs == 1 else first + way.jobs * peak,
        device_bytes=None if device_peak is None else device_peak * way.jobs,
        disk_bytes=kept + KEPT * sum(largest),
        kept_bytes=kept,
        free_memory_bytes=psutil.virtual_memory().available + psutil.Process().memory_info().rss,
        free_disk_bytes=shutil.disk_usage(way.folder).free,
        device=str(fabric.device),
        parts=tuple(parts),
        notes=(),
    )
    return replace(estimate, notes=tuple(_notes(estimate, way)))


def side_by_side(seconds: list[float], jobs: int, start: float) -> float:
    """Seconds until all trainings have ended, each process taking the next one when it is free.

    Args:
        seconds: Of each training, in order.
        jobs: Processes.
        start: Seconds that a process takes before its first training, where there are several.
    """
    busy = [0.0 if jobs == 1 else start] * jobs
    for each in seconds:
        busy[busy.index(min(busy))] += each
    return max(busy)


def _notes(estimate: Estimate, way: Way) -> Iterator[str]:
    if estimate.memory_bytes > estimate.free_memory_bytes:
        yield "there is less memory free than the run needs: a smaller batch, --recompute, or fewer --jobs"
    if estimate.disk_bytes > estimate.free_disk_bytes:
        yield "there is less disk free than the run needs: free some, or give --out on another"
    if way.jobs > (cores := usable_cores()):
        yield f"{way.jobs} jobs share {cores} cores: each is slower than it was measured alone"


@contextmanager
def _scratch(folder: Path) -> Iterator[RunDirectory]:
    """A run folder for what is timed, on the disk of the run; it goes when that is done."""
    try:
        with tempfile.TemporaryDirectory(prefix=".estimate-", dir=folder) as path:
            yield RunDirectory(Path(path))
    except PermissionError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from None
