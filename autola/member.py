"""One training of a retraining: an attention with a seed, in a run folder of its own."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import RetrainConfig
from autola.data_record import check_data
from autola.drive import drive
from autola.runs import fitting, go_on, stored_config, tracked
from autola.runtime import in_first
from autola.working.making import make_item
from autola.working.settings import Settings
from evaluators.tasks import Setting, new_network
from evaluators.train import Training
from outputs.records import GENOTYPE, RESULT, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.tracking import Tracking
from outputs.weights import save_weights
from search_space.placement import PLACEMENT
from search_space.term import Term, slug
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
    config: RetrainConfig,
    member: Member,
    setting: Setting,
    whole: RunDirectory,
    fabric: Fabric,
    modules: Sequence[str] = (),
) -> None:
    """Makes the run folder of a training, if it is not there.

    Args:
        config: Settings of the whole retraining.
        member: The attention and seed to train.
        setting: The task with its data read.
        whole: The run folder of the retraining, locked by this process.
        fabric: Device and processes.
        modules: Modules of the user's that whoever does it imports.
    """
    single = replace(config, attentions=(config.attentions[member.number],), seeds=(member.seed,))
    kept = {"device": fabric.device, "modules": modules}
    make_item(whole, member.name, single, member.seed, setting.describe, **kept)


def train_member(
    folder: Path, settings: Settings, after_epoch: Callable[[dict[str, Any]], None] = lambda record: None
) -> None:
    """Does one training from where its records end; only what is not done yet.

    Args:
        folder: Its run folder.
        settings: What reads its data.
        after_epoch: Called with the record of each epoch.

    Raises:
        InputError: If the data are not those that it began with, or what `drive` says.
    """
    config, fabric = stored_config(RunDirectory.open(folder), RetrainConfig), settings.fabric
    (attention,), (seed,) = config.attentions, config.seeds
    with RunDirectory.open(folder) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return
        with fitting():
            setting = settings.of(config.task, config.train)
            in_first(fabric, lambda: check_data(run, setting.describe()))
            job = first_step(config, setting, attention, seed, fabric)
            go_on(job, run, folder.name)
        fabric.barrier()
        now_and_then = _now_and_then(folder.name, config.train.epochs)

        def report(record: dict[str, Any]) -> None:
            now_and_then(record)
            after_epoch(record)

        with tracked(run, config.tracker, fabric) as tracking:
            drive(job, run, fabric, tracking, title=folder.name, after_epoch=report)
            _conclude(job, run, setting, attention, fabric, tracking)


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
) -> None:
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
