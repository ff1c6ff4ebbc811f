"""How small a difference a design can see, worked out before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from evaluators.statistics.difference import LEVEL, freedom

POWER = 0.8
"""Least chance that a difference of the promised size is found."""

AIM = 0.82
"""Chance that the promise is worked out for, for normal scores; what they are is never quite normal."""

GRID = 100
"""Quantiles of each row's estimated variance that the chance is summed over."""


@dataclass(frozen=True)
class Design:
    """How many scores a row will have.

    Attributes:
        groups: Cells; 1 for a module that is given.
        trainings: Trainings of each.
        drawn: Whether the cells are searched or drawn; several always are.
    """

    groups: int
    trainings: int
    drawn: bool = False

    @property
    def units(self) -> int:
        """What is drawn anew; see `Nested.units`."""
        return self.groups if self.of_cells else self.trainings

    def variance(self, between: float, within: float) -> float:
        """Variance of a unit, given both standard deviations."""
        return between**2 + within**2 / self.trainings if self.of_cells else within**2

    @property
    def of_cells(self) -> bool:
        """Whether what is drawn anew are cells, not trainings of a module that is given."""
        return self.drawn or self.groups > 1


def power(
    first: Design, second: Design, true: float, *, between: float, within: float, level: float = LEVEL
) -> float:
    """Chance that a true difference is found, for normal scores.

    Exact but for the grid: the estimate given both estimated variances is normal, and those are independent
    multiples of chi-squared variables, whose quantiles are summed over.

    Args:
        first: A row of two units at least.
        second: Another.
        true: The difference.
        between: Standard deviation among cells.
        within: Standard deviation among trainings of a cell.
        level: Of the interval that has to leave out 0.
    """
    import numpy as np
    from scipy.stats import chi2, norm, t

    quantiles = (np.arange(GRID) + 0.5) / GRID
    means = [row.variance(between, within) / row.units for row in (first, second)]
    draws = [chi2.ppf(quantiles, row.units - 1) / (row.units - 1) for row in (first, second)]
    a, b = means[0] * draws[0][:, None], means[1] * draws[1][None]
    edge = t.ppf((1 + level) / 2, freedom(a / (a + b), first.units, second.units))
    edge = edge * np.sqrt((a + b) / sum(means))
    shift = true / sum(means) ** 0.5
    return float((norm.sf(edge - shift) + norm.cdf(-edge - shift)).mean())


@cache
def detectable(
    first: Design, second: Design, *, between: float, within: float, level: float = LEVEL
) -> float | None:
    """The smallest difference that is found with a chance of 80 % at least; None where no interval can be.

    Args:
        first: A row.
        second: Another.
        between: Standard deviation among cells, in the unit of the answer.
        within: Standard deviation among trainings of a cell; not both 0.
        level: See `power`.
    """
    if first.units < 2 or second.units < 2:
        return None
    from scipy.optimize import brentq

    def lacking(true: float) -> float:
        return power(first, second, true, between=between, within=within, level=level) - AIM

    most = max(between, within)
    while lacking(most) < 0:
        most *= 2
    found: Any = brentq(lacking, 0.0, most)
    return float(found)
