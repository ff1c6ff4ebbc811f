"""Do the statistics of `autola compare` keep what they promise? Nested scores are drawn, with a known truth.

The designs are those of the studies: 3 searches trained 3 times each, 6 random cells twice each, controls 5
times. Cells differ by 0, 0.5, 1 or 2 times as much as trainings of one do. What is counted: how many of 95 %
intervals hold the true difference, by the methods that were tried; how often anything is claimed that is not
so, over all contrasts together; and how often a difference of the size that was promised is found.

    python -m benchmarks.intervals --draws 4000 --json outputs/published/intervals.json
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import tyro
from numpy.random import Generator
from scipy.stats import bootstrap, norm, t

from evaluators.statistics.bootstrap import bootstrap_interval
from evaluators.statistics.difference import difference
from evaluators.statistics.family import gated
from evaluators.statistics.nested import Nested
from evaluators.statistics.power import Design, detectable
from foundation.files import write_text

FOUND, RANDOM, CONTROL = Design(3, 3), Design(6, 2), Design(1, 5)
NUM_CONTROLS = 7
PAIRS = {
    "found - random": (FOUND, RANDOM),
    "found - control": (FOUND, CONTROL),
    "random - control": (RANDOM, CONTROL),
    "control - control": (CONTROL, CONTROL),
}
BETWEEN = (0.0, 0.5, 1.0, 2.0)
"""Standard deviations among cells, in those among trainings of one."""

RESAMPLES = 999

Interval = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    draws: int = 2000
    """Comparisons that are drawn for each spread of the cells."""
    methods: int = 500
    """Those of them that every method is tried on; 0 for the method in use alone."""
    seed: int = 0
    """Of the draws."""
    json: Path | None = None
    """File to write the figures to."""


def drawn(design: Design, between: float, rng: Generator, mean: float = 0.0) -> Nested:
    """Scores of a row whose true mean is known; cells and trainings are normal, trainings of deviation 1."""
    cells = rng.normal(mean, between if design.groups > 1 else 0.0, (design.groups, 1))
    return Nested(tuple(map(tuple, rng.normal(cells, 1.0, (design.groups, design.trainings)).tolist())))


def by_scipy(first: Nested, second: Nested, method: Any, level: float = 0.95) -> Interval:
    """SciPy's bootstrap of the cells' means."""
    found = bootstrap(
        (np.array(first.units), np.array(second.units)),
        lambda a, b, axis=-1: a.mean(axis) - b.mean(axis),
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method=method,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return found.low, found.high


def expanded(first: Nested, second: Nested) -> Interval:
    """Hesterberg's expanded percentiles (arXiv:1411.5279), for the smaller row."""
    least = min(len(first.units), len(second.units))
    return by_scipy(
        first,
        second,
        "percentile",
        float(2 * norm.cdf((least / (least - 1)) ** 0.5 * t.ppf(0.975, least - 1)) - 1),
    )


def studentised(first: Nested, second: Nested) -> Interval:
    """The bootstrap of t; resamples without spread are left out."""
    rng, rows = np.random.default_rng(0), [np.array(row.units) for row in (first, second)]
    again = [rng.choice(row, (RESAMPLES, len(row))) for row in rows]
    shift = again[0].mean(1) - again[1].mean(1)
    error = sum(row.var(1, ddof=1) / row.shape[1] for row in again) ** 0.5
    own = sum(row.var(ddof=1) / len(row) for row in rows) ** 0.5
    centre = rows[0].mean() - rows[1].mean()
    whole = error > 1e-9 * own
    low, high = np.quantile((shift[whole] - centre) / error[whole], (0.025, 0.975))
    return centre - high * own, centre - low * own


def welch(first: Nested, second: Nested) -> Interval:
    """Welch's interval as SciPy has it."""
    found = scipy.stats.ttest_ind(first.units, second.units, equal_var=False).confidence_interval(0.95)
    return found.low, found.high


def in_use(first: Nested, second: Nested) -> Interval:
    """What `autola compare` prints."""
    return difference(first, second).interval()


METHODS: dict[str, Callable[[Nested, Nested], Interval]] = {
    "percentile bootstrap of cells": lambda a, b: by_scipy(a, b, "percentile"),
    "BCa bootstrap of cells": lambda a, b: by_scipy(a, b, "BCa"),
    "expanded percentiles": expanded,
    "bootstrap of t": studentised,
    "percentile bootstrap, nested": bootstrap_interval,
    "Welch": welch,
    "in use": in_use,
}


def coverage(options: Options, between: float) -> dict[str, dict[str, float]]:
    """Percent of the intervals that hold the truth, by pair of rows and method."""
    rng = np.random.default_rng([options.seed, 0])
    held = {pair: Counter[str]() for pair in PAIRS}
    tried = Counter[str]()
    for number in range(options.draws):
        used = METHODS if number < options.methods else {"in use": in_use}
        tried.update(used.keys())
        for pair, designs in PAIRS.items():
            first, second = (drawn(design, between, rng) for design in designs)
            for name, method in used.items():
                interval = method(first, second)
                assert interval is not None
                held[pair][name] += interval[0] <= 0 <= interval[1]
    return {
        pair: {name: round(100 * counts[name] / tried[name], 2) for name in METHODS if tried[name]}
        for pair, counts in held.items()
    }


def claims(rows: list[Nested]) -> list[bool]:
    """Whether each contrast is claimed: found minus random, then found minus every control."""
    found, others = rows[0], rows[1:]
    primary, *rest = [difference(found, other).p_value() for other in others]
    return [p is not None and p < 0.05 for p in (primary, *gated(primary, rest))]


def alarms(options: Options, between: float) -> dict[str, float]:
    """Percent of comparisons in which anything is claimed that is not so; of found differences, in the last.

    "none" has no difference at all; "random" random cells that are far worse, and nothing else; "half" three
    such controls besides.
    """
    rng = np.random.default_rng([options.seed, 1])
    far = 10 * max(between, 1.0)
    promised = detectable(FOUND, RANDOM, between=between, within=1.0)
    assert promised is not None
    truths = {
        "none": [0.0] * (1 + NUM_CONTROLS),
        "random": [-far] + [0.0] * NUM_CONTROLS,
        "half": [-far] * 4 + [0.0] * (NUM_CONTROLS - 3),
        "promised": [-promised] + [0.0] * NUM_CONTROLS,
    }
    counted = Counter[str]()
    for _ in range(options.draws):
        designs = [RANDOM, *[CONTROL] * NUM_CONTROLS]
        for name, means in truths.items():
            rows = [drawn(FOUND, between, rng)]
            rows += [drawn(design, between, rng, mean) for design, mean in zip(designs, means)]
            claimed = claims(rows)
            counted[name] += any(claim for claim, mean in zip(claimed, means) if mean == 0)
            counted["power"] += claimed[0] and name == "promised"
    return {
        **{f"false alarms, {name}": round(100 * counted[name] / options.draws, 2) for name in truths},
        "promised difference": round(promised, 3),
        "found when promised": round(100 * counted["power"] / options.draws, 2),
    }


def main() -> None:
    """Draws, counts and prints."""
    options = tyro.cli(Options, description=__doc__)
    warnings.simplefilter("ignore")  # SciPy's, on resamples without spread
    made = {
        "command": f"python -m benchmarks.intervals --draws {options.draws} --methods {options.methods}",
        "designs": {"found": "3 x 3", "random": "6 x 2", "control": "5"},
        "scipy": scipy.__version__,
        "seed": options.seed,
    }
    results = dict[str, Any]()
    for between in BETWEEN:
        covered, rates = coverage(options, between), alarms(options, between)
        results[str(between)] = {"coverage": covered, **rates}
        print(f"\ncells differ {between} times as much as trainings")
        for pair, methods in covered.items():
            print(f"  {pair:18}" + "  ".join(f"{name} {share:.1f}" for name, share in methods.items()))
        for name, value in rates.items():
            print(f"  {name}: {value}")
        if options.json:
            write_text(options.json, json.dumps({**made, "between": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
