"""Retraining: every attention with every seed under one recipe, with its records and one table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lightning.fabric import Fabric

from autola.configs import RetrainConfig
from autola.drive import drive
from autola.runs import new_run, retrain_config
from autola.runtime import device_line, make_fabric, own_state
from autola.tables import TABLE, Row, Table
from evaluators.cost import macs, params
from evaluators.tasks import TASKS, Setting
from evaluators.train import Training
from outputs.environment import environment
from outputs.run_directory import GENOTYPE, RESULT, RunDirectory
from search_space.config import parse_json, to_json
from search_space.errors import InputError
from search_space.grammar import Term, label, slug

log = logging.getLogger(__name__)


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
        setting = TASKS[config.task](config, fabric)
        for attention in config.attentions:
            setting.start(attention, config.seeds[0])
        kind = f"retrain-{config.data.name}"
        run = new_run(config, setting.describe(), kind=kind, seed=config.seeds[0], out=out, fabric=fabric)
        return _finish(config, setting, run, fabric)


def resume_retraining(run: RunDirectory) -> Table:
    """Goes on with a retraining that was stopped: on the CPU, to the weights it would have ended with."""
    config = retrain_config(run)
    if run.has(TABLE):
        log.info("%s is complete", run.path)
        table = parse_json(Table, run.text(TABLE), str(run.path / TABLE))
        return replace(table, run=str(run.path))
    with own_state(config, resumed=run):
        fabric = make_fabric(config)
        if fabric.is_global_zero:
            run.lock()
        return _finish(config, TASKS[config.task](config, fabric), run, fabric)


def _finish(config: RetrainConfig, setting: Setting, run: RunDirectory, fabric: Fabric) -> Table:
    log.info("%s  seeds %s  %s", run.path, " ".join(map(str, config.seeds)), device_line(fabric))
    rows = list[Row]()
    for number, attention in enumerate(config.attentions):
        results = [_train(config, number, seed, setting, run, fabric) for seed in config.seeds]
        with torch.device("meta"):
            network = setting.network(attention, 0)
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
    if fabric.is_global_zero:
        run.write_text(TABLE, to_json(table))
    run.unlock()
    return table


def _train(
    config: RetrainConfig, number: int, seed: int, setting: Setting, whole: RunDirectory, fabric: Fabric
) -> dict[str, Any]:
    """Trains one attention with one seed, in a run folder of its own; only what is not done yet."""
    attention = config.attentions[number]
    name = member_name(config.attentions, number, seed)
    path = whole.path / name
    writes = fabric.is_global_zero
    if writes and not path.exists():
        single = replace(config, attentions=(attention,), seeds=(seed,))
        known = environment(fabric.device, seed)
        RunDirectory.create(path, to_json(single), known, setting.describe()).unlock()
    fabric.barrier()
    run = RunDirectory.open(path)
    if run.has(RESULT):
        return run.json(RESULT)
    if writes:
        run.lock()
    job = Training(setting.start(attention, seed), config.train, fabric, seed)
    state = run.load_checkpoint()
    if state is not None:
        job.load_state_dict(state)
        log.info("%s: going on at step %d of %d", name, job.step, job.total_steps)
    fabric.barrier()
    drive(job, run if writes else None, title=name)
    seconds = run.seconds()
    metrics = job.result()
    result = {
        "score": metrics[f"test_{setting.score}"],
        "seconds": round(seconds, 2),
        "metrics": metrics,
    }
    log.info("%s: test %s %.2f %%, %.0f s", name, setting.score, 100 * result["score"], seconds)
    if writes:
        genotypes = [term.genotype for term in attention if term.genotype]
        if genotypes:
            run.write_text(GENOTYPE, genotypes[0].to_json())
        run.save_weights(job.task.model.state_dict())
        run.write_json(RESULT, result)
        run.drop_checkpoints()
        run.unlock()
    fabric.barrier()
    return result


def member_name(attentions: Sequence[tuple[Term, ...]], number: int, seed: int) -> str:
    """Folder of one attention and seed within a retraining's."""
    name = slug(attentions[number])
    if any(slug(other) == name for other in attentions[:number]):
        name = f"{name}-{number + 1}"
    return f"{name}-seed{seed}"
