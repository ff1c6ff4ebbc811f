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

from autola.configs import RetrainConfig
from autola.drive import drive
from autola.runs import go_on, is_search, new_run, stored_config
from autola.runtime import device_line, in_first, make_fabric, own_state
from autola.tables import TABLE, Row, Table
from evaluators.cost import macs, params
from evaluators.tasks import Setting, new_network
from evaluators.train import Training
from outputs.environment import environment
from outputs.run_directory import CONFIG, GENOTYPE, RESULT, RunDirectory
from search_space.config import parse_json, to_json
from search_space.errors import InputError
from search_space.grammar import Term, label, slug
from supernet.blocks import speed_up

log = logging.getLogger(__name__)

TOLD_SECONDS = 60.0
"""Least time between two lines about a training under way."""

LONGEST_NAME = 100
"""Characters of an attention in the name of a folder."""


def run_retraining(config: RetrainConfig, out: Path | None = None) -> Table:
    """Trains every attention with every seed, and keeps the records in a new run folder.

    Args:
        config: What to compare, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    if not config.attentions:
        raise InputError("name at least one attention, for example: none se cbam hoga")
    with own_state(config):
        fabric = make_fabric(config)
        setting = _checked(config, fabric)
        data, seed = setting.describe(), config.seeds[0]
        kind = f"retrain-{config.task.subject()}"
        with new_run(config, data, kind=kind, seed=seed, out=out, fabric=fabric) as run:
            return _finish(config, setting, run, fabric)


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


def resume_retraining(run: RunDirectory, devices: int | None = None) -> Table:
    """Goes on with a retraining that was stopped: on the CPU, to the weights it would have ended with.

    A retraining that is complete is left as it is.

    Args:
        run: What was stopped.
        devices: Devices of each machine, where they are others than it began with.

    Raises:
        InputError: If the run is no retraining, its records do not fit, or another process is writing to it.
    """
    config = stored_config(run, RetrainConfig)
    _refuse_member(run)
    if devices is not None:
        config = replace(config, devices=devices)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=devices is None)
        in_first(fabric, run.lock)
        if run.has(TABLE):
            log.info("%s is complete", run.path)
            table = parse_json(Table, run.text(TABLE), str(run.path / TABLE))
            return replace(table, run=str(run.path))
        return _finish(config, config.task.read(config.train, fabric), run, fabric)


def _refuse_member(run: RunDirectory) -> None:
    whole = run.path.resolve().parent
    if not (whole / CONFIG).is_file() or is_search(RunDirectory(whole)):
        return
    config = stored_config(RunDirectory(whole), RetrainConfig)
    names = member_names(config.attentions)
    if run.path.resolve().name in {f"{name}-seed{seed}" for name in names for seed in config.seeds}:
        raise InputError(f"{run.path} is one training of a retraining; go on with --resume {whole}")


def _finish(config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric) -> Table:
    log.info("%s  seeds %s  %s", run.path, " ".join(map(str, config.seeds)), device_line(fabric))
    rows = list[Row]()
    for number, attention in enumerate(config.attentions):
        results = [_train(config, number, seed, setting, run, fabric) for seed in config.seeds]
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


def _train(
    config: RetrainConfig, number: int, seed: int, setting: Setting, whole: RunDirectory, fabric: Fabric
) -> dict[str, Any]:
    """Trains one attention with one seed, in a run folder of its own; only what is not done yet."""
    attention = config.attentions[number]
    name = f"{member_names(config.attentions)[number]}-seed{seed}"
    path = whole.path / name

    def make() -> None:
        if not path.exists():
            single = replace(config, attentions=(attention,), seeds=(seed,))
            known = environment(fabric.device, seed)
            whole.create_member(name, to_json(single), known, setting.describe())

    in_first(fabric, make)
    with RunDirectory.open(path) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return run.keys(RESULT, "score", "seconds")
        job = _start(config, setting, attention, seed, fabric)
        go_on(job, run, name)
        fabric.barrier()
        drive(job, run, fabric, title=name, after_epoch=_now_and_then(name, config.train.epochs))
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
