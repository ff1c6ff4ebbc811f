"""Retraining: every attention with every seed under one recipe, with its records and one table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from autola.conclusions import read_conclusion
from autola.configs import RetrainConfig
from autola.data_record import absolute, check_data, described, found_data
from autola.executors import Executor
from autola.member import first_step, make_member, members_of
from autola.runs import is_search, new_run, stored_config
from autola.runtime import device_line, in_first, make_fabric, own_state
from autola.tables import TABLE, Row, Table
from autola.working import check_devices, modules_for, ready
from autola.working.driver import do_work
from autola.working.making import make_list
from autola.working.progress import missing, missing_line
from autola.working.settings import Settings
from autola.working.worklist import WorkList
from evaluators.cost import macs, params
from evaluators.tasks import Setting
from foundation.config import to_json
from foundation.errors import InputError
from foundation.words import typed
from outputs.records import CONFIG, RESULT
from outputs.run_directory import RunDirectory
from outputs.trackers import check_trackers
from search_space.term import label

log = logging.getLogger(__name__)


def run_retraining(config: RetrainConfig, out: Path | None = None, *, on: Executor | None = None) -> Table:
    """Trains every attention with every seed, and keeps the records in a new run folder.

    Args:
        config: What to compare, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.
        on: What starts workers, each of which trains one at a time; None to train here, one after another.
            The results do not depend on it.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    if not config.attentions:
        raise InputError("name at least one attention, for example: none se cbam hoga")
    check_devices(on, config)
    modules = modules_for(on, config)
    with own_state(config, on=on):
        fabric = make_fabric(config)
        settings = Settings(fabric)
        setting = _checked(config, settings)
        data, seed = described(config, setting), config.seeds[0]
        config, kind = absolute(config), f"retrain-{config.task.subject()}"
        made = {"kind": kind, "seed": seed, "out": out, "fabric": fabric}
        with ready(on, fabric), new_run(config, data, **made) as run:
            return _finish(config, config, settings, run, on, modules)


def check_retraining(config: RetrainConfig) -> None:
    """Does what `run_retraining` does before it writes anything.

    Raises:
        InputError: If the config or the data is wrong.
    """
    with own_state(config):
        _checked(config, Settings(make_fabric(config)))


def _checked(config: RetrainConfig, settings: Settings) -> Setting:
    config.task.refuse_unused(config.train)
    check_trackers(config.tracker)
    setting = settings.of(config.task, config.train)
    for attention in config.attentions:  # whatever is wrong shows before anything is written
        first_step(config, setting, attention, config.seeds[0], settings.fabric)
    return setting


def resume_retraining(
    run: RunDirectory, devices: int | None = None, *, on: Executor | None = None, root: str | None = None
) -> Table:
    """Goes on with a retraining that was stopped: on the CPU, to the weights it would have ended with.

    A retraining that is complete is left as it is.

    Args:
        run: What was stopped.
        devices: Devices of each machine, where they are others than it began with.
        on: See `run_retraining`.
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
    check_devices(on, config)
    modules = modules_for(on, config)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=devices is None)
        if run.has(TABLE):  # without the lock: whoever only looks may not be allowed to write
            table = read_conclusion(run, TABLE, Table)
            if not table.missing:
                log.info("%s is complete", run.path)
                return replace(table, run=str(run.path))
        check_trackers(config.tracker)
        in_first(fabric, run.lock)
        stored = found_data(stored, run, root)
        config = replace(config, task=stored.task)
        settings = Settings(fabric)
        setting = settings.of(config.task, config.train)
        in_first(fabric, lambda: check_data(run, described(config, setting), stored if root else None))
        return _finish(config, stored, settings, run, on, modules)


def _refuse_member(run: RunDirectory) -> None:
    whole = run.path.resolve().parent
    if not (whole / CONFIG).is_file() or is_search(RunDirectory(whole)):
        return
    config = stored_config(RunDirectory(whole), RetrainConfig)
    if run.path.resolve().name in {member.name for member in members_of(config)}:
        raise InputError(f"{run.path} is one training of a retraining; go on with --resume {typed(whole)}")


def _finish(
    config: RetrainConfig,
    stored: RetrainConfig,
    settings: Settings,
    run: RunDirectory,
    executor: Executor | None,
    modules: Sequence[str],
) -> Table:
    """Trains what is left.

    Args:
        config: With the devices that are asked for now.
        stored: As the run has it, with the folder that its data are in now.
        settings: What reads its data.
        run: Its folder, locked by this process.
        executor: What starts workers; None to train here.
        modules: Modules of the user's that they import.
    """
    fabric = settings.fabric
    log.info("%s  seeds %s  %s", run.path, " ".join(map(str, config.seeds)), device_line(fabric))
    setting, members = settings.of(config.task, config.train), members_of(config)

    def make() -> WorkList:
        for member in members:
            make_member(stored, member, setting, run, fabric, modules)
        names, epochs = [member.name for member in members], config.train.epochs
        made = {"command": "retrain", "epochs": epochs, "modules": modules, "fabric": fabric}
        return make_list(run.path, names, **made)

    worklist = in_first(fabric, make) or WorkList(run.path)
    in_first(fabric, worklist.forgive)
    do_work(worklist, executor, settings)
    failed = missing(worklist) if fabric.world_size == 1 else []
    if len(failed) == len(members):
        raise InputError(failed[0][1])
    lines = tuple(missing_line(worklist, name, why) for name, why in failed)
    table = _table(config, setting, run, lines)
    in_first(fabric, lambda: run.write_text(TABLE, to_json(table)))
    return table


def _table(config: RetrainConfig, setting: Setting, run: RunDirectory, failed: tuple[str, ...]) -> Table:
    rows = list[Row]()
    for number, attention in enumerate(config.attentions):
        runs = {
            member.seed: RunDirectory(run.path / member.name)
            for member in members_of(config)
            if member.number == number
        }
        results = {
            seed: each.numbers(RESULT, "score", "seconds") for seed, each in runs.items() if each.complete()
        }
        if not results:
            continue
        with torch.device("meta"):
            network = config.task.network(setting.describe(), attention)
        rows.append(
            Row(
                attention=label(attention),
                params=params(network),
                macs=macs(network, setting.input_shape),
                seeds=tuple(results),
                scores=tuple(result["score"] for result in results.values()),
                seconds=round(fmean(result["seconds"] for result in results.values()), 1),
            )
        )
    return Table(run=str(run.path), score=f"test {setting.score}", rows=tuple(rows), missing=failed)
