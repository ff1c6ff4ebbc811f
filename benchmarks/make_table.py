"""Trains genotypes of the small space with several seeds and keeps all they reached: a tabular benchmark.

Stop it at any moment: the trainings are a list of work beside the table, and the same command goes on with
it. `--on` and `--jobs` say where they run, as for `autola retrain`; `autola work` and `status` know it too.
Half a table is of use: `--genotypes 20 --seeds 4` says by its F whether genotypes differ more than seeds do,
and only where F > 3 is it worth training the rest (`--genotypes 216`, whose first rows are the same).
"""

from __future__ import annotations

import json
import math
import platform
import random
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from pydantic import TypeAdapter

from autola.configs import DeviceConfig, RetrainConfig
from autola.data_record import absolute
from autola.executors import Executor, executor_of
from autola.presets import RETRAIN_PRESETS
from autola.runtime import make_fabric, own_state
from autola.working.driver import do_work
from autola.working.making import make_item, make_list
from autola.working.progress import missing, missing_line
from autola.working.settings import Settings
from evaluators.cost import macs, params
from evaluators.latency import latency_ms
from evaluators.tasks import Setting, new_network
from evaluators.tasks.classification import Classification
from foundation.config import digest, to_json
from foundation.errors import InputError
from outputs.environment import environment
from outputs.records import CONFIG, RESULT
from outputs.run_directory import RunDirectory
from outputs.settings_record import ROOT
from outputs.tabular import PUBLISHED, read_tabular, write_tabular
from search_space.space import HOGA_SMALL, SPACES, Space
from search_space.term import Term


@dataclass(frozen=True, kw_only=True)
class Options:
    """Makes a tabular benchmark."""

    name: str = "digits"
    """Name of the table."""
    preset: str = "digits"
    """Recipe and data: a preset of `autola retrain`."""
    root: str | None = None
    """Where the data is; the preset's own if left out."""
    limit: int | None = None
    """Training images; the preset's own if left out."""
    epochs: int | None = None
    """Epochs of every training; the preset's own if left out."""
    space: str = HOGA_SMALL.name
    """A registered space of a few hundred genotypes."""
    genotypes: int = 20
    """How many of the space are trained, drawn without replacement in an order that is always the same."""
    seeds: int = 4
    """Trainings of each genotype."""
    device: DeviceConfig = field(default_factory=lambda: DeviceConfig(threads=1))
    """Where to compute; auto takes a GPU if there is one."""
    latency: bool = True
    """Whether to time every genotype, on the CPU with one thread."""
    folder: Path = PUBLISHED
    """Where the table goes."""
    on: str = "here"
    """Where the trainings run: here, here:4, ray, ray://HOST:PORT, slurm."""
    jobs: int | None = None
    """Processes of this machine, short for --on here:JOBS."""


def trained_rows(
    options: Options, config: RetrainConfig, settings: Settings, on: Executor | None
) -> list[dict[str, Any]]:
    """All trainings, as a list of work beside the table: those that are done there, and the rest.

    Raises:
        InputError: If the list was made with other settings, or a training was set aside.
    """
    space, setting = SPACES[options.space], settings.of(config.task, config.train)
    path = (options.folder / f".trainings-{options.name}").absolute()
    known, data = environment(settings.fabric.device, 0), setting.describe()
    if path.is_dir():
        run = RunDirectory.open(path).lock()
        if digest(run.text(CONFIG), ROOT) != digest(to_json(config), ROOT):
            raise InputError(f"{path} was made with other settings; move it away, or use another --name")
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        run = RunDirectory.create(path, to_json(config), known, data)
    with run:
        names = list[str]()
        for operators in drawn(space, options.genotypes):
            term = Term(name="hoga", genotype=space.genotype(operators))
            for seed in range(options.seeds):
                names.append(f"{slug_of(operators)}-seed{seed}")
                single = replace(config, attentions=((term,),), seeds=(seed,))
                make_item(run, names[-1], single, seed, lambda: data, device=settings.fabric.device)
        made = {"command": "benchmarks.make_table", "epochs": config.train.epochs, "modules": ()}
        worklist = make_list(path, names, fabric=settings.fabric, **made)
        worklist.forgive()
        do_work(worklist, on, settings)
        if failed := missing(worklist):
            raise InputError(missing_line(worklist, *failed[0]))
        return [_ended(RunDirectory(path / name), setting.score) for name in names]


def slug_of(operators: Sequence[str]) -> str:
    """A folder's name for the operators of the edges."""
    return "_".join(re.sub(r"\W", "", operator) for operator in operators)


def _ended(run: RunDirectory, score: str) -> dict[str, Any]:
    """Validation score after every epoch of a training, test score after the last."""
    validation = [record[f"validation_{score}"] for record in run.metrics.records(f"validation_{score}")]
    return {"validation": validation, "test": run.numbers(RESULT, "score")["score"]}


def drawn(space: Space, number: int) -> list[list[str]]:
    """The first genotypes of a fixed shuffle of the space: the operators of their edges."""
    everything = [[edge.operator for _, edge in genotype.edges()] for genotype in space.genotypes()]
    random.Random(0).shuffle(everything)
    return everything[:number]


def costs(
    options: Options, config: RetrainConfig, setting: Setting, space: Space, operators: Sequence[str]
) -> tuple[int, int, float]:
    """Parameters, multiply-accumulates and latency of the network with a genotype."""
    terms = (Term(name="hoga", genotype=space.genotype(operators)),)
    model = new_network(config.task, setting.describe(), terms, 0)
    shape = setting.input_shape
    milliseconds = latency_ms(model.cpu(), shape) if options.latency else math.nan
    return params(model), macs(model, shape), milliseconds


def make(options: Options) -> Path:
    """Trains, counts, and writes the table."""
    preset = RETRAIN_PRESETS[options.preset]
    device = TypeAdapter(DeviceConfig).dump_python(options.device)
    recipe = replace(preset.train, select="last", epochs=options.epochs or preset.train.epochs)
    assert isinstance(preset.task, Classification)
    data = preset.task.data
    data = replace(data, root=options.root or data.root, limit=options.limit or data.limit)
    config = replace(preset, task=replace(preset.task, data=data), train=recipe, seeds=(0,), **device)
    # The folder of the data is the maker's own business, and need not be the same the next time.
    anywhere = replace(config, task=replace(preset.task, data=replace(data, root=None)))
    space, on = SPACES[options.space], executor_of(options.on, options.jobs)
    with own_state(config, on=on):
        fabric = make_fabric(config)
        settings = Settings(fabric)
        setting = settings.of(config.task, config.train)
        records = trained_rows(options, absolute(config), settings, on)
        rows = drawn(space, options.genotypes)
        counted = [costs(options, config, setting, space, operators) for operators in rows]
    shape = (len(rows), options.seeds)
    columns = {
        "validation": np.array([record["validation"] for record in records]).reshape(*shape, -1),
        "test": np.array([record["test"] for record in records]).reshape(shape),
        "params": np.array([cost[0] for cost in counted]),
        "macs": np.array([cost[1] for cost in counted]),
        "latency_ms": np.array([cost[2] for cost in counted], float),
    }
    known = environment(fabric.device, 0)
    command = f"python -m benchmarks.make_table {shlex.join(word for word in sys.argv[1:])}".rstrip()
    made = {
        "complete": len(rows) == space.size,
        "command": " ".join("FOLDER" if word == options.root else word for word in command.split()),
        "config": json.loads(to_json(anywhere)),
        "device": known["device_name"] if fabric.device.type == "cuda" else f"cpu ({platform.machine()})",
        "latency": "one image, one CPU thread" if options.latency else None,
        "python": known["python"],
        "versions": known["versions"],
    }
    return write_tabular(options.name, space, rows, columns, made, options.folder)


def main() -> None:
    """Makes the table and says whether genotypes differ more than seeds do."""
    options = tyro.cli(Options, description=__doc__)
    path = make(options)
    table = read_tabular(options.name, options.folder)
    print(f"{path.name}: {len(table.genotypes)} of {table.space.size} genotypes, {options.seeds} seeds each")
    print(f"F = {table.separation():.2f} (between genotypes over within: 1 where only seeds differ)")


if __name__ == "__main__":
    main()
