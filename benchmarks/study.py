"""Does an attention help on CIFAR-10, beside controls of its own cost? Many short trainings, one file each.

Every training is an item: what stands in the blocks, on which network, for how long, with which seed. Its
result is a small JSON file that is written when it ends; an item that has one is not run again, and one that
was stopped goes on. So the study may run for an hour a day, on several machines, and be topped up:

    python -m benchmarks.study --root FOLDER --minutes 60
    python -m benchmarks.study --table

Items go round by round, a seed of everything before the next seed of anything: the table is balanced whenever
the time is over. The controls are the plain network, and the plain network wider, deeper and trained longer;
SE and CBAM alone and on every edge of the cell; random cells of the same space; the published cell.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

import autola
from autola.tables import Table
from foundation.files import write_text
from search_space.genotype import PUBLISHED, Genotype
from search_space.space import SPACES

SPACE = SPACES["hoga"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    root: Path | None = None
    """Folder of CIFAR-10 as `autola search cifar10 --data.root` takes it."""
    out: Path = Path("outputs/published/study-cifar10")
    """Folder of the results, a file an item."""
    runs: Path = Path("outputs/runs/study")
    """Folder of the runs themselves, which may be deleted when an item has ended."""
    minutes: float = 60.0
    """No item is started after so many minutes."""
    epochs: int = 5
    """Epochs of a training; more tell smaller differences apart."""
    rounds: int = 5
    """Seeds of every item."""
    random_cells: int = 6
    """Random cells; they are trained with the first two seeds."""
    only: tuple[str, ...] = ()
    """Names of the items to run; all if left out."""
    table: bool = False
    """Print what is there, and run nothing."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One training."""

    name: str
    attention: str
    seed: int
    epochs: int
    backbone: str = "cifar_resnet8"
    width: int = 16

    @property
    def file(self) -> str:
        """Name of the result's file."""
        return f"{self.name}-epochs{self.epochs}-seed{self.seed}.json"


def uniform(operator: str) -> Genotype:
    """The published cell with one operator on every edge."""
    nodes = tuple(
        replace(node, edges=tuple(replace(edge, operator=operator) for edge in node.edges))
        for node in PUBLISHED.nodes
    )
    return replace(PUBLISHED, nodes=nodes)


def cells(options: Options) -> dict[str, Genotype]:
    """Genotypes of the study by the name of their items."""
    found = {"se-wrapped": uniform("SE"), "cbam-wrapped": uniform("CBAM"), "hoga": PUBLISHED}
    for number in range(options.random_cells):
        found[f"random{number}"] = SPACE.sample(random.Random(number))
    return found


def items(options: Options) -> Iterator[Item]:
    """All items, a seed of everything before the next seed of anything."""
    folder = options.runs / "cells"
    for seed in range(options.rounds):
        plain = Item(name="none", attention="none", seed=seed, epochs=options.epochs)
        yield plain
        yield replace(plain, name="se", attention="se")
        yield replace(plain, name="cbam", attention="cbam")
        yield replace(plain, name="none-wider", width=26)
        yield replace(plain, name="none-deeper", backbone="cifar_resnet20")
        yield replace(plain, name="none-longer", epochs=3 * options.epochs)
        for name in cells(options):
            if seed < 2 or not name.startswith("random"):
                yield replace(plain, name=name, attention=f"hoga:{folder / f'{name}.json'}")


def train(item: Item, options: Options) -> dict[str, Any]:
    """Trains an item, or goes on with it, and returns what is kept of it."""
    run = options.runs / item.file.removesuffix(".json")
    begun, cpu = time.monotonic(), time.process_time()
    if run.exists():
        table = autola.resume(run)
    else:
        table = autola.retrain(
            item.attention,
            preset="cifar10",
            out=run,
            seeds=(item.seed,),
            threads=1,
            data={"name": "folder", "root": str(options.root)},
            backbone=item.backbone,
            width=item.width,
            train={"epochs": item.epochs, "batch_size": 128, "validation_fraction": 0.0, "select": "last"},
        )
    assert isinstance(table, Table)
    (row,) = table.rows
    genotype = cells(options).get(item.name)
    return {
        **asdict(item),
        "attention": item.attention if genotype is None else "hoga",
        "genotype": None if genotype is None else json.loads(genotype.to_json()),
        "test_accuracy": row.scores[0],
        "params": row.params,
        "macs": row.macs,
        "wall_seconds": round(time.monotonic() - begun, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
    }


def run(options: Options) -> None:
    """Runs items until the time is over."""
    if options.root is None:
        raise SystemExit("give the folder of CIFAR-10: --root FOLDER")
    for name, genotype in cells(options).items():
        path = options.runs / "cells" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, genotype.to_json())
    options.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes
    for item in items(options):
        path = options.out / item.file
        if path.exists() or (options.only and item.name not in options.only):
            continue
        if time.monotonic() > until:
            break
        result = train(item, options)
        write_text(path, json.dumps(result, indent=2) + "\n")
        print(
            f"{item.file}: {100 * result['test_accuracy']:.2f} %, {result['wall_seconds']:.0f} s", flush=True
        )


def show(options: Options) -> None:
    """Prints mean and standard deviation of every item that has results."""
    scores, macs = defaultdict[tuple[str, int], list[float]](list), dict[tuple[str, int], int]()
    for path in sorted(options.out.glob("*.json")):
        result = json.loads(path.read_text())
        key = "random cells" if result["name"].startswith("random") else result["name"], result["epochs"]
        scores[key].append(100 * result["test_accuracy"])
        macs[key] = result["macs"]
    print(f"{'what':16}{'epochs':>8}{'MACs':>10}{'trainings':>11}   test accuracy %")
    for (name, epochs), values in scores.items():
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        cost = f"{macs[name, epochs] / 1e6:.1f} M"
        print(f"{name:16}{epochs:8}{cost:>10}{len(values):11}   {statistics.fmean(values):.2f}{spread}")


def main() -> None:
    """Runs the study, or prints its table."""
    options = tyro.cli(Options, description=__doc__)
    if not options.table:
        run(options)
    show(options)


if __name__ == "__main__":
    main()
