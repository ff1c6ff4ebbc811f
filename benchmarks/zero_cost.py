"""How scores of untrained networks rank the genotypes of a tabular benchmark, beside parameters and MACs.

Every genotype of the table is built as its trainings built it, scored with several seeds on a batch of the
same data, and its mean score compared with its mean test accuracy: Kendall's tau and Spearman's rho, with
95 % percentile intervals over the genotypes (SciPy's bootstrap of pairs).
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from autola import benchmark
from autola.presets import RETRAIN_PRESETS
from evaluators.data import Batches, normalization, read
from evaluators.tasks.classification import Classification
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.genotype import Genotype
from search_space.term import Term
from searchers import SEARCHERS
from searchers.zero_cost import ZeroCost


@dataclass(frozen=True, kw_only=True)
class Options:
    """Scores the genotypes of a table without training them."""

    table: str = "digits"
    """Name of a tabular benchmark."""
    preset: str = "digits"
    """Retrain preset that its trainings used: data and network."""
    root: str | None = None
    """Folder of the data, where the preset's need one."""
    seeds: int = 5
    """Networks of each genotype, and batches, that are scored."""
    batch_size: int = 64
    """Images of a batch."""
    resamples: int = 9999
    """Draws of the bootstrap."""
    json: bool = False
    """Print one JSON object and nothing else."""


def scored(options: Options, name: str) -> tuple[np.ndarray, float]:
    """The mean score of every genotype (genotypes,), and CPU seconds a network."""
    kind = SEARCHERS[name]
    assert issubclass(kind, ZeroCost)
    module, _, function = kind.score.partition(":")
    measure = getattr(import_module(module), function)
    task = RETRAIN_PRESETS[options.preset].task
    if not isinstance(task, Classification):
        raise InputError(f"{options.preset} is no preset of small images in memory")
    data = task.data if options.root is None else replace(task.data, root=options.root)
    splits = read(data)
    mean, std = normalization(data, splits.train)
    facts = {
        "input_shape": (splits.in_channels, *splits.image_size),
        "num_classes": len(splits.train.classes),
    }
    genotypes, values, began = benchmark(options.table).genotypes, list[list[float]](), time.process_time()
    for seed in range(options.seeds):
        batches = Batches(
            splits.train, options.batch_size, device=torch.device("cpu"), mean=mean, std=std, augment=None,
            seed=seed, dtype=torch.float32, shuffle=True, drop_last=True, rank=0, world_size=1,
        )  # fmt: skip
        images = batches.batch(0, 0)[0]
        values.append([one(task, facts, genotype, seed, images, measure) for genotype in genotypes])
    each = (time.process_time() - began) / (options.seeds * len(genotypes))
    return np.array(values).mean(0), each


def one(
    task: Classification, facts: dict[str, Any], genotype: Genotype, seed: int, images: Any, measure: Any
) -> float:
    """The score of a genotype with a seed."""
    torch.manual_seed(seed_of(seed, "network"))
    network = task.network(facts, (Term(name="hoga", genotype=genotype),))
    torch.manual_seed(seed_of(seed, "zero cost"))
    return measure(network, images)


def correlation(score: np.ndarray, accuracy: np.ndarray, kind: str, resamples: int) -> dict[str, Any]:
    """A rank correlation with its interval; None where all scores are equal."""
    from scipy.stats import bootstrap, kendalltau, spearmanr

    measure = kendalltau if kind == "kendall" else spearmanr

    def statistic(places: np.ndarray) -> float:
        found: Any = measure(score[places.astype(int)], accuracy[places.astype(int)])
        return float(found.statistic)

    places = np.arange(len(score))
    found = bootstrap(
        (places,), statistic, n_resamples=resamples, vectorized=False, method="percentile",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    return {
        "value": round(statistic(places), 3),
        "interval_95": [round(float(low), 3), round(float(high), 3)],
    }


def measure(options: Options) -> dict[str, Any]:
    """All correlations, and how they were made."""
    table = benchmark(options.table)
    accuracy, rows = table.test.mean(1).astype(float), dict[str, Any]()
    for name in (name for name, kind in SEARCHERS.items() if issubclass(kind, ZeroCost)):
        score, seconds = scored(options, name)
        rows[name] = {
            kind: correlation(score, accuracy, kind, options.resamples) for kind in ("kendall", "spearman")
        } | {"cpu_seconds": round(seconds, 3)}
    return {
        "table": options.table,
        "genotypes": len(table.genotypes),
        "separation": round(table.separation(), 2),
        "seeds": options.seeds,
        "scores": rows,
        "python": platform.python_version(),
        "versions": {package: metadata.version(package) for package in ("torch", "scipy", "numpy")},
        "machine": platform.machine(),
        "command": shlex.join(["python", "-m", "benchmarks.zero_cost", *sys.argv[1:]]),
    }


def main() -> None:
    """Prints the correlations."""
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    view = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("score", "Kendall's tau", "Spearman's rho", "CPU s"):
        view.add_column(column)
    for name, row in figures["scores"].items():
        cells = [
            f"{each['value']:+.2f} ({each['interval_95'][0]:+.2f} to {each['interval_95'][1]:+.2f})"
            for each in (row["kendall"], row["spearman"])
        ]
        view.add_row(name, *cells, f"{row['cpu_seconds']:.2f}")
    Console().print(view)
    print(f"{figures['genotypes']} genotypes of {figures['table']}, F = {figures['separation']}; "
          f"means of {figures['seeds']} networks; 95 % intervals over genotypes")  # fmt: skip


if __name__ == "__main__":
    main()
