"""Retraining: every attention with every seed under one recipe, with its records and one table."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from lightning.fabric import Fabric

from autola.cli import IMPORTED
from autola.configs import RetrainConfig
from autola.data_record import absolute, check_data, described, found_data
from autola.extensions import modules_of
from autola.member import first_step, make_member, members_of, train_member
from autola.runs import is_search, new_run, stored_config
from autola.runtime import device_line, in_first, make_fabric, own_state
from autola.tables import TABLE, Row, Table
from autola.workers import check_jobs, train_in_workers
from evaluators.cost import macs, params
from evaluators.tasks import Setting
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from outputs.records import CONFIG
from outputs.run_directory import RunDirectory
from outputs.trackers import check_trackers
from search_space.term import label

log = logging.getLogger(__name__)


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
    check_trackers(config.tracker)
    setting = config.task.read(config.train, fabric)
    for attention in config.attentions:  # whatever is wrong shows before anything is written
        first_step(config, setting, attention, config.seeds[0], fabric)
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
        check_trackers(config.tracker)
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
    if run.path.resolve().name in {member.name for member in members_of(config)}:
        raise InputError(f"{run.path} is one training of a retraining; go on with --resume {whole}")


def _modules(config: RetrainConfig, jobs: int) -> list[str]:
    """Modules of the user's for processes that train side by side; refuses jobs that are impossible."""
    check_jobs(jobs, config)
    return modules_of(config, IMPORTED, "--jobs") if jobs > 1 else []


def _train_side_by_side(
    config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric, jobs: int, modules: list[str]
) -> None:
    """Trains what is not complete, in processes of their own; what these leave is read by `_finish`."""
    left = [member for member in members_of(config) if not RunDirectory(run.path / member.name).complete()]
    jobs = min(jobs, len(left))
    if jobs < 2:  # no other process is needed
        return
    for member in left:  # here: they must not take each other's half-made folders for what was left
        make_member(config, member, setting, run, fabric)
    log.info("%d trainings, %d side by side", len(left), jobs)
    train_in_workers(
        run.path.resolve(), left, config.train.epochs, jobs, modules, gpus=fabric.device.type == "cuda"
    )


def _finish(
    config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric, jobs: int, modules: list[str]
) -> Table:
    log.info("%s  seeds %s  %s", run.path, " ".join(map(str, config.seeds)), device_line(fabric))
    if jobs > 1:
        _train_side_by_side(config, setting, run, fabric, jobs, modules)
    rows = list[Row]()
    members = members_of(config)
    for number, attention in enumerate(config.attentions):
        own = [member for member in members if member.number == number]
        results = [train_member(config, member, setting, run, fabric) for member in own]
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
