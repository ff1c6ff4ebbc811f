"""Retraining: every attention with every seed under one recipe, with its records and one table."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lightning.fabric import Fabric

from autola.cli import IMPORTED
from autola.configs import RetrainConfig
from autola.data_record import absolute, check_data, described, found_data
from autola.drive import drive
from autola.extensions import modules_of
from autola.runs import go_on, is_search, new_run, stored_config
from autola.runtime import device_line, in_first, make_fabric, own_state
from autola.tables import TABLE, Row, Table
from autola.workers import Member, check_jobs, train_in_workers
from evaluators.cost import macs, params
from evaluators.tasks import Setting, new_network
from evaluators.train import Training
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from outputs.environment import environment
from outputs.run_directory import CONFIG, GENOTYPE, RESULT, RunDirectory
from search_space.grammar import Term, label, slug
from supernet.blocks import speed_up

log = logging.getLogger(__name__)

TOLD_SECONDS = 60.0
"""Least time between two lines about a training under way."""

LONGEST_NAME = 100
"""Characters of an attention in the name of a folder."""


def run_retraining(config: RetrainConfig, out: Path | None = None, *, jobs: int = 1) -> Table:
    """Trains every attention with every seed, and keeps the records in a new run folder.

    Args:
        config: What to compare, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.
        jobs: Trainings side by side, each in a process of its own; the results do not depend on it.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    if not config.attentions:
        raise InputError("name at least one attention, for example: none se cbam hoga")
    modules = _modules(config, jobs)
    with own_state(config):
        fabric = make_fabric(config)
        setting = _checked(config, fabric)
        data, seed = described(config, setting), config.seeds[0]
        config, kind = absolute(config), f"retrain-{config.task.subject()}"
        with new_run(config, data, kind=kind, seed=seed, out=out, fabric=fabric) as run:
            return _finish(config, setting, run, fabric, jobs, modules)


def check_retraining(config: RetrainConfig) -> None:
    """Does what `run_retraining` does before it writes anything.

    Raises:
        InputError: If the config or the data is wrong.
    """
    with own_state(config):
        _checked(config, make_fabric(config))


def _checked(config: RetrainConfig, fabric: Fabric) -> Setting:
    config.task.refuse_unused(config.train)
    setting = config.task.read(config.train, fabric)
    for attention in config.attentions:  # whatever is wrong shows before anything is written
        _start(config, setting, attention, config.seeds[0], fabric)
    return setting


def resume_retraining(
    run: RunDirectory, devices: int | None = None, *, jobs: int = 1, root: str | None = None
) -> Table:
    """Goes on with a retraining that was stopped: on the CPU, to the weights it would have ended with.

    A retraining that is complete is left as it is.

    Args:
        run: What was stopped.
        devices: Devices of each machine, where they are others than it began with.
        jobs: Trainings side by side; see `run_retraining`.
        root: The folder of its data, where that moved; it has to hold the same.

    Raises:
        InputError: If the run is no retraining, its records or data do not fit, or another process is writing
            to it.
    """
    config = stored_config(run, RetrainConfig)
    _refuse_member(run)
    stored = config
    if devices is not None:
        config = replace(config, devices=devices)
    modules = _modules(config, jobs)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=devices is None)
        if run.has(TABLE):  # without the lock: whoever only looks may not be allowed to write
            log.info("%s is complete", run.path)
            table = parse_json(Table, run.text(TABLE), str(run.path / TABLE))
            return replace(table, run=str(run.path))
        in_first(fabric, run.lock)
        stored = found_data(stored, run, root)
        config = replace(config, task=stored.task)
        setting = config.task.read(config.train, fabric)
        in_first(fabric, lambda: check_data(run, described(config, setting), stored if root else None))
        return _finish(config, setting, run, fabric, jobs, modules)


def _refuse_member(run: RunDirectory) -> None:
    whole = run.path.resolve().parent
    if not (whole / CONFIG).is_file() or is_search(RunDirectory(whole)):
        return
    config = stored_config(RunDirectory(whole), RetrainConfig)
    names = member_names(config.attentions)
    if run.path.resolve().name in {f"{name}-seed{seed}" for name in names for seed in config.seeds}:
        raise InputError(f"{run.path} is one training of a retraining; go on with --resume {whole}")


def _modules(config: RetrainConfig, jobs: int) -> list[str]:
    """Modules of the user's for processes that train side by side; refuses jobs that are impossible."""
    check_jobs(jobs, config)
    return modules_of(config, IMPORTED, "--jobs") if jobs > 1 else []


def _train_side_by_side(
    config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric, jobs: int, modules: list[str]
) -> None:
    """Trains what is not complete, in processes of their own; what these leave is read by `_finish`."""
    names = member_names(config.attentions)
    members = [
        Member(number, seed, f"{name}-seed{seed}")
        for number, name in enumerate(names)
        for seed in config.seeds
    ]
    left = [member for member in members if not RunDirectory(run.path / member.name).complete()]
    jobs = min(jobs, len(left))
    if jobs < 2:  # no other process is needed
        return
    for member in left:  # here: they must not take each other's half-made folders for what was left
        _make_member(config, member, setting, run, fabric)
    log.info("%d trainings, %d side by side", len(left), jobs)
    train_in_workers(
        run.path.resolve(), left, config.train.epochs, jobs, modules, gpus=fabric.device.type == "cuda"
    )


def _make_member(
    config: RetrainConfig, member: Member, setting: Setting, whole: RunDirectory, fabric: Fabric
) -> None:
    if not (whole.path / member.name).exists():
        single = replace(config, attentions=(config.attentions[member.number],), seeds=(member.seed,))
        known = environment(fabric.device, member.seed)
        whole.create_member(member.name, to_json(single), known, setting.describe())


def _finish(
    config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric, jobs: int, modules: list[str]
) -> Table:
    log.info("%s  seeds %s  %s", run.path, " ".join(map(str, config.seeds)), device_line(fabric))
    if jobs > 1:
        _train_side_by_side(config, setting, run, fabric, jobs, modules)
    rows = list[Row]()
    for number, attention in enumerate(config.attentions):
        results = [train_member(config, number, seed, setting, run, fabric) for seed in config.seeds]
        with torch.device("meta"):
            network = config.task.network(setting.describe(), attention)
        rows.append(
            Row(
                attention=label(attention),
                params=params(network),
                macs=macs(network, setting.input_shape),
                seeds=config.seeds,
                scores=tuple(result["score"] for result in results),
                seconds=round(fmean(result["seconds"] for result in results), 1),
            )
        )
    table = Table(run=str(run.path), score=f"test {setting.score}", rows=tuple(rows))
    in_first(fabric, lambda: run.write_text(TABLE, to_json(table)))
    return table


def train_member(
    config: RetrainConfig,
    number: int,
    seed: int,
    setting: Setting,
    whole: RunDirectory,
    fabric: Fabric,
    after_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
) -> dict[str, Any]:
    """Trains one attention with one seed, in a run folder of its own; only what is not done yet.

    Args:
        config: Of the whole retraining.
        number: Place of the attention in the config.
        seed: The seed.
        setting: The task, its data read.
        whole: The run folder of the retraining.
        fabric: Device and processes.
        after_epoch: Called with the record of each epoch.

    Returns:
        What its result.json holds.
    """
    attention = config.attentions[number]
    name = f"{member_names(config.attentions)[number]}-seed{seed}"
    in_first(fabric, lambda: _make_member(config, Member(number, seed, name), setting, whole, fabric))
    with RunDirectory.open(whole.path / name) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return run.numbers(RESULT, "score", "seconds")
        job = _start(config, setting, attention, seed, fabric)
        go_on(job, run, name)
        fabric.barrier()
        now_and_then = _now_and_then(name, config.train.epochs)

        def tell(record: dict[str, Any]) -> None:
            now_and_then(record)
            after_epoch(record)

        drive(job, run, fabric, title=name, after_epoch=tell)
        return _conclude(job, run, setting, attention, fabric)


def _start(
    config: RetrainConfig, setting: Setting, attention: tuple[Term, ...], seed: int, fabric: Fabric
) -> Training:
    network = new_network(config.task, setting.describe(), attention, seed)
    speed_up(network, compile=config.compile, recompute=config.recompute)
    return Training(setting.start(network, seed), config.train, fabric, seed)


def _now_and_then(name: str, epochs: int) -> Callable[[dict[str, Any]], None]:
    """Tells of an epoch in a line of the log, once a minute at most."""
    told = time.monotonic()

    def tell(record: dict[str, Any]) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD_SECONDS:
            told = time.monotonic()
            losses = [
                f"{key} {value:.4g}" for key, value in record.items() if key.endswith(("_loss", "_accuracy"))
            ]
            log.info("%s: epoch %d of %d  %s", name, record["epoch"], epochs, "  ".join(losses))

    return tell


def _conclude(
    job: Training, run: RunDirectory, setting: Setting, attention: tuple[Term, ...], fabric: Fabric
) -> dict[str, Any]:
    """Reads the test set and writes what a training ends with."""
    seconds = run.seconds()
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
        run.save_weights(job.task.model.state_dict())
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
