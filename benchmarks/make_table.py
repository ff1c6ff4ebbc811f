"""Trains genotypes of the small space with several seeds and keeps all they reached: a tabular benchmark.

Stop it at any moment: every training that was complete is kept beside `--out`, and the same command goes on.
Half a table is of use: `--genotypes 20 --seeds 4` says by its F whether genotypes differ more than seeds do,
and only where F > 3 is it worth training the rest (`--genotypes 216`, whose first rows are the same).
"""

from __future__ import annotations

import json
import math
import platform
import random
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
from autola.presets import RETRAIN_PRESETS
from autola.runtime import make_fabric, own_state
from evaluators.cost import macs, params
from evaluators.latency import latency_ms
from evaluators.tasks import Setting, new_network
from evaluators.tasks.classification import Classification
from evaluators.train import Training
from foundation.config import to_json
from foundation.errors import InputError
from outputs.environment import environment
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


def trained_rows(
    options: Options, config: RetrainConfig, key: str, setting: Setting, fabric: Any
) -> list[dict[str, Any]]:
    """All trainings: those found in the file of complete ones, and the rest."""
    space = SPACES[options.space]
    path = options.folder / f".trainings-{options.name}.jsonl"
    done = dict[tuple[str, int], dict[str, Any]]()
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # the last one may be cut short
                record = json.loads(line)
                if record["config"] != key:
                    raise InputError(
                        f"{path} was made with other settings; move it away, or use another --name"
                    )
                done[" ".join(record["operators"]), record["seed"]] = record
    wanted = [
        (operators, seed) for operators in drawn(space, options.genotypes) for seed in range(options.seeds)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for number, (operators, seed) in enumerate(wanted, 1):
            if (" ".join(operators), seed) not in done:
                record = {"config": key, "operators": operators, "seed": seed}
                record |= train(config, setting, fabric, space, operators, seed)
                done[" ".join(operators), seed] = record
                file.write(json.dumps(record) + "\n")
                file.flush()
            last = done[" ".join(operators), seed]
            print(f"{number}/{len(wanted)}  seed {seed}  {last['validation'][-1]:.4f}  {' '.join(operators)}")
    return [done[" ".join(operators), seed] for operators, seed in wanted]


def drawn(space: Space, number: int) -> list[list[str]]:
    """The first genotypes of a fixed shuffle of the space: the operators of their edges."""
    everything = [[edge.operator for _, edge in genotype.edges()] for genotype in space.genotypes()]
    random.Random(0).shuffle(everything)
    return everything[:number]


def train(
    config: RetrainConfig, setting: Setting, fabric: Any, space: Space, operators: Sequence[str], seed: int
) -> dict[str, Any]:
    """Trains a genotype once: validation accuracy after every epoch, test accuracy after the last."""
    terms = (Term(name="hoga", genotype=space.genotype(operators)),)
    network = new_network(config.task, setting.describe(), terms, seed)
    job = Training(setting.start(network, seed), config.train, fabric, seed)
    validation = list[float]()
    while job.step < job.total_steps:
        job.advance()
        if job.step % job.steps_per_epoch == 0:
            job.check()
            validation.append(job.validation[job.task.score])
    return {"validation": validation, "test": job.result()[f"test_{job.task.score}"]}


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
    space = SPACES[options.space]
    with own_state(config):
        fabric = make_fabric(config)
        setting = config.task.read(config.train, fabric)
        records = trained_rows(options, config, to_json(anywhere), setting, fabric)
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
