"""One training of a retraining: an attention with a seed, in a run folder of its own."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning.fabric import Fabric

from autola.configs import RetrainConfig
from autola.drive import drive
from autola.runs import go_on, tracked
from autola.runtime import in_first
from evaluators.tasks import Setting, new_network
from evaluators.train import Training
from foundation.config import to_json
from outputs.environment import environment
from outputs.records import GENOTYPE, RESULT, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.tracking import Tracking
from outputs.weights import save_weights
from search_space.grammar import Term, slug
from search_space.placement import PLACEMENT
from supernet.blocks import speed_up

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
"""Least time in seconds between two lines of the log about a training under way."""

LONGEST_NAME = 100
"""Characters of an attention in the name of a folder."""


@dataclass(frozen=True)
class Member:
    """One training of a retraining.

    Attributes:
        number: Index of its attention in the config, from 0.
        seed: Its seed.
        name: The name of its folder.
    """

    number: int
    seed: int
    name: str


def members_of(config: RetrainConfig) -> list[Member]:
    """All trainings of a retraining: every seed of the first attention, then of the next."""
    names = enumerate(member_names(config.attentions))
    return [Member(number, seed, f"{name}-seed{seed}") for number, name in names for seed in config.seeds]


def make_member(
    config: RetrainConfig, member: Member, setting: Setting, whole: RunDirectory, fabric: Fabric
) -> None:
    """Makes the run folder of a training, if it is not there."""
    if not (whole.path / member.name).exists():
        single = replace(config, attentions=(config.attentions[member.number],), seeds=(member.seed,))
        known = environment(fabric.device, member.seed)
        whole.create_member(member.name, to_json(single), known, setting.describe())


def train_member(
    config: RetrainConfig,
    member: Member,
    setting: Setting,
    whole: RunDirectory,
    fabric: Fabric,
    after_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
) -> dict[str, Any]:
    """Does one training, in a run folder of its own; only what is not done yet.

    Args:
        config: Settings of the whole retraining.
        member: The attention and seed to train.
        setting: The task with its data read.
        whole: The run folder of the retraining.
        fabric: Device and processes.
        after_epoch: Called with the record of each epoch.

    Returns:
        What its result.json holds.
    """
    attention, name = config.attentions[member.number], member.name
    in_first(fabric, lambda: make_member(config, member, setting, whole, fabric))
    with RunDirectory.open(whole.path / name) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return run.numbers(RESULT, "score", "seconds")
        job = first_step(config, setting, attention, member.seed, fabric)
        go_on(job, run, name)
        fabric.barrier()
        now_and_then = _now_and_then(name, config.train.epochs)

        def report(record: dict[str, Any]) -> None:
            now_and_then(record)
            after_epoch(record)

        with tracked(run, config.tracker, fabric) as tracking:
            drive(job, run, fabric, tracking, title=name, after_epoch=report)
            return _conclude(job, run, setting, attention, fabric, tracking)


def first_step(
    config: RetrainConfig, setting: Setting, attention: tuple[Term, ...], seed: int, fabric: Fabric
) -> Training:
    """A training at step 0."""
    network = new_network(config.task, setting.describe(), attention, seed)
    speed_up(network, compile=config.compile, recompute=config.recompute)
    return Training(setting.start(network, seed), config.train, fabric, seed)


def _now_and_then(name: str, epochs: int) -> Callable[[dict[str, Any]], None]:
    """A function that logs an epoch in a line, once a minute at most."""
    last = time.monotonic()

    def report(record: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            losses = [
                f"{key} {value:.4g}" for key, value in record.items() if key.endswith(("_loss", "_accuracy"))
            ]
            log.info("%s: epoch %d of %d  %s", name, record["epoch"], epochs, "  ".join(losses))

    return report


def _conclude(
    job: Training,
    run: RunDirectory,
    setting: Setting,
    attention: tuple[Term, ...],
    fabric: Fabric,
    tracking: Tracking,
) -> dict[str, Any]:
    """Reads the test set and writes what a training ends with."""
    seconds = run.metrics.seconds()
    metrics = job.result()
    result = {
        "score": metrics[f"test_{setting.score}"],
        "seconds": round(seconds, 2),
        "metrics": metrics,
    }
    log.info("%s: test %s %.2f %%, %.0f s", run.path.name, setting.score, 100 * result["score"], seconds)

    def complete() -> None:
        genotypes = [term.genotype for term in attention if term.genotype]
        if genotypes:
            run.write_text(GENOTYPE, genotypes[0].to_json())
        placements = [term.placement for term in attention if term.placement]
        if placements:
            run.write_text(PLACEMENT, placements[0].to_json())
        save_weights(run.path / WEIGHTS, job.task.model.state_dict())
        tracking.conclude(result)  # before the result: a run that is complete is not looked at again
        run.write_json(RESULT, result)
        run.drop_checkpoints()

    in_first(fabric, complete)
    return result


def member_names(attentions: Sequence[tuple[Term, ...]]) -> list[str]:
    """Begins the folder of each attention within a retraining's; no two are equal, whatever their case."""
    names = list[str]()
    taken = set[str]()
    for attention in attentions:
        short = slug(attention)[:LONGEST_NAME]
        name = next(name for name in _numbered(short) if name.casefold() not in taken)
        names.append(name)
        taken.add(name.casefold())
    return names


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))
