"""Regret against budget of every black-box searcher, many seeds, beside random search.

Judged on a planted problem: every edge has a value for each operator, drawn anew for every seed; the score
of a genotype is their sum, in units of its standard deviation over the space; a trial sees it with noise. Or,
with `--table`, on a complete tabular benchmark, where a trial is a training that was done before.

Regret is how far the genotype that a searcher would return, the best of those it saw, is below the best of
the space: of true values, not of those seen. Searchers run with their own settings.
"""

from __future__ import annotations

import json
import math
import os
import platform
import random
import shlex
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from autola import benchmark
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.genotype import Genotype
from search_space.space import SPACES, Space
from searchers import SEARCHERS
from searchers.blackbox import BlackBox
from searchers.candidates import Candidates, Trial, best_of

BASELINE = "random"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Runs searchers on a problem whose answer is known."""

    searchers: tuple[str, ...] = ()
    """Which; all black-box searchers that propose something of their own if left out."""
    seeds: int = 200
    """Problems, each searched once by every searcher."""
    budgets: tuple[int, ...] = (25, 50, 100, 200, 400)
    """Trials after which the regret is looked at."""
    space: str = "hoga"
    """Registered space of the planted problem."""
    noise: float = 0.5
    """Standard deviation of what a trial sees, in units of that of the scores over the space."""
    table: str | None = None
    """A tabular benchmark to search instead of the planted problem."""
    workers: int | None = None
    """Processes; one a core if left out."""
    json: bool = False
    """Print one JSON object and nothing else."""


@dataclass(frozen=True)
class Planted:
    """A problem whose answer is known.

    Attributes:
        space: What is searched.
        value: True score of a genotype, in standard deviations over the space.
        seen: What a trial with this number sees of it.
        best: The highest true score.
    """

    space: Space
    value: Callable[[Genotype], float]
    seen: Callable[[Genotype, int], float]
    best: float


def planted(space: Space, noise: float, seed: int) -> Planted:
    """A separable problem: a value for every operator on every edge."""
    draws = random.Random(seed_of("planted", seed))
    values = [{name: draws.gauss(0, 1) for name in space.candidates} for _ in space.edges]
    means = [statistics.fmean(row.values()) for row in values]
    spread = math.sqrt(sum(statistics.pvariance(row.values()) for row in values))

    def value(genotype: Genotype) -> float:
        operators = space.operators(genotype)
        return sum(row[name] - mean for row, name, mean in zip(values, operators, means)) / spread

    def seen(genotype: Genotype, trial: int) -> float:
        return value(genotype) + noise * random.Random(seed_of("noise", seed, trial)).gauss(0, 1)

    best = sum(max(row.values()) - mean for row, mean in zip(values, means)) / spread
    return Planted(space, value, seen, best)


@cache
def tabular(name: str) -> tuple[Any, dict[Genotype, float], dict[Genotype, list[float]], float]:
    """A table, its mean test accuracies, its last validation accuracies, and the spread of the former.

    Raises:
        InputError: If genotypes are missing, so that no searcher can walk about in it.
    """
    table = benchmark(name)
    if not table.made["complete"]:
        raise InputError(
            f"benchmark {name!r} has {len(table.genotypes)} of {table.space.size} genotypes; "
            "only a complete one can be searched"
        )
    means = dict(zip(table.genotypes, table.test.mean(1).tolist()))
    seen = dict(zip(table.genotypes, table.validation[:, :, -1].tolist()))
    return table, means, seen, statistics.pstdev(means.values())


def from_table(name: str, seed: int) -> Planted:
    """A table as a problem: a trial is one of the trainings, drawn with the seed."""
    table, means, validation, spread = tabular(name)

    def seen(genotype: Genotype, trial: int) -> float:
        return random.Random(seed_of("training", seed, trial)).choice(validation[genotype])

    return Planted(table.space, lambda g: means[g] / spread, seen, max(means.values()) / spread)


def regrets(options: Options, name: str, seed: int) -> list[float]:
    """Regret of one search at every budget."""
    if options.table:
        problem = from_table(options.table, seed)
    else:
        problem = planted(SPACES[options.space], options.noise, seed)
    searcher = SEARCHERS[name]()
    assert isinstance(searcher, BlackBox)
    propose = searcher.proposer(Candidates(space=problem.space, limits=None, seed=seed))
    history, found = list[Trial](), list[float]()
    for trial in range(max(options.budgets)):
        genotype = propose(history)
        history.append(Trial(genotype=genotype, score=problem.seen(genotype, trial)))
        if trial + 1 in options.budgets:
            answer = best_of(history)
            assert answer is not None
            found.append(problem.best - problem.value(answer))
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half its 95 % interval (Student's)."""
    from scipy.stats import t

    if len(values) < 2:
        return statistics.fmean(values), math.inf
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(half)


def measure(options: Options) -> dict[str, Any]:
    """Runs all searches; the figures, and how they were made."""
    names = [BASELINE, *(name for name in options.searchers or proposing() if name != BASELINE)]
    for name in names:
        if not issubclass(SEARCHERS[name], BlackBox):
            raise InputError(f"{name} is no black-box searcher; it needs a network, not a table")
    rows = dict[str, Any]()
    with ProcessPoolExecutor(options.workers or os.cpu_count(), initializer=_one_thread) as pool:
        futures = {
            name: list(pool.map(partial(regrets, options, name), range(options.seeds), chunksize=4))
            for name in names
        }
    baseline = [interval(list(column)) for column in zip(*futures[BASELINE])]
    for name in names:
        columns = [interval(list(column)) for column in zip(*futures[name])]
        better = [mean + half < other - width for (mean, half), (other, width) in zip(columns, baseline)]
        rows[name] = {
            "regret": [round(mean, 4) for mean, _ in columns],
            "half_interval_95": [round(half, 4) for _, half in columns],
            "beats_random": better,
        }
    return {
        "problem": options.table or f"planted in {options.space}, noise {options.noise}",
        "unit": "standard deviations of the true score over the space",
        "seeds": options.seeds,
        "budgets": list(options.budgets),
        "searchers": rows,
        "python": platform.python_version(),
        "versions": {package: metadata.version(package) for package in ("torch", "numpy", "nni")},
        "machine": platform.machine(),
        "command": shlex.join(["python", "-m", "benchmarks.searchers", *sys.argv[1:]]),
    }


def proposing() -> list[str]:
    """Black-box searchers with proposals of their own: random_ws proposes as random does."""
    kinds = {name: kind for name, kind in SEARCHERS.items() if issubclass(kind, BlackBox)}
    return [name for name in kinds if name != "random_ws"]


def _one_thread() -> None:
    torch.set_num_threads(1)


def main() -> None:
    """Prints the figures."""
    options = tyro.cli(Options, description=__doc__)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("regret after")
    for budget in figures["budgets"]:
        view.add_column(f"{budget} trials", justify="right")
    for name, row in figures["searchers"].items():
        cells = [
            f"{mean:.3f} ± {half:.3f}{'*' if better else ' '}"
            for mean, half, better in zip(row["regret"], row["half_interval_95"], row["beats_random"])
        ]
        view.add_row(name, *cells)
    Console().print(view)
    print(f"{figures['problem']}; {figures['seeds']} seeds; {figures['unit']}")
    print("± half the 95 % interval; * below random search, the intervals apart")


if __name__ == "__main__":
    main()
