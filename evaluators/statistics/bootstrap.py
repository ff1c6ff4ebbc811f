"""Hierarchical bootstrap: cells are drawn again, and within each the trainings."""

from __future__ import annotations

from typing import Any

from evaluators.statistics.difference import LEVEL
from evaluators.statistics.nested import Nested

RESAMPLES = 9999
"""Draws; the error of an interval's ends falls with their root."""


def bootstrap_interval(
    first: Nested, second: Nested, *, level: float = LEVEL, seed: int = 0, method: str = "percentile"
) -> tuple[float, float] | None:
    """Percentile interval of the difference of two rows' means; None where a row has one unit.

    SciPy's bootstrap draws the units; where a unit is a cell with several trainings, those are drawn as well,
    from a stream of their own. So with a training a cell, or one cell a row, it is SciPy's bootstrap of these
    numbers. It makes no assumption on the shape of the scores, and is too short at few cells (see
    `difference`): it is recorded beside the interval that decides.

    Args:
        first: A row.
        second: The row that is taken off it.
        level: Chance that is promised, at many units.
        seed: Of the draws.
        method: As SciPy names it; one that leaves out single scores needs cells that are trained once.
    """
    import numpy as np
    from scipy.stats import bootstrap

    if len(first.units) < 2 or len(second.units) < 2:
        return None
    inner = np.random.default_rng([seed, 1])

    def means(row: Nested, places: Any) -> Any:
        """Mean of each resample; places (..., units) are whole numbers."""
        if len(row.groups) == 1 or max(map(len, row.groups)) == 1:
            return np.asarray(row.units)[places].mean(-1)
        sizes = np.array([len(group) for group in row.groups])
        padded = np.array([[*group, *[0.0] * (sizes.max() - len(group))] for group in row.groups])
        chosen = sizes[places]
        ranks = (inner.random((*places.shape, sizes.max())) * chosen[..., None]).astype(int)
        kept = np.arange(sizes.max()) < chosen[..., None]
        drawn = padded[places[..., None], ranks] * kept
        return (drawn.sum(-1) / chosen).mean(-1)

    def shift(a: Any, b: Any, axis: int = -1) -> Any:
        assert axis == -1
        return means(first, a.astype(int)) - means(second, b.astype(int))

    data = np.arange(len(first.units)), np.arange(len(second.units))
    found = bootstrap(
        data,
        shift,
        n_resamples=RESAMPLES,
        vectorized=True,
        confidence_level=level,
        method=method,  # pyright: ignore[reportArgumentType]
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return float(interval.low), float(interval.high)
