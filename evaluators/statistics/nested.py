"""Scores that are nested: several cells found or drawn, each trained with several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from foundation.errors import InputError


@dataclass(frozen=True)
class Components:
    """Where the scores of a row differ, as standard deviations.

    Attributes:
        between: Among cells, each trained for ever: of the searches or draws. None where there is one cell.
        within: Among trainings of one cell: of the retraining seeds. None where no cell is trained twice.
    """

    between: float | None
    within: float | None


@dataclass(frozen=True)
class CellsDiffer:
    """Fisher's test of whether the cells of a row differ at all.

    Attributes:
        statistic: F: how much the means of cells differ, over how much trainings of one let them; about 1
            where cells do not differ.
        p_value: Chance of so large an F where they do not.
    """

    statistic: float
    p_value: float


@dataclass(frozen=True)
class Nested:
    """Scores of a row of a comparison, one group a cell.

    A module that is given, such as SE, is one group: what is drawn anew are its trainings. Cells that were
    searched or drawn are a group each: what is drawn anew are cells, and their trainings are no more than
    repeated looks at them. `units` are what was drawn anew.

    Args:
        groups: Scores of each cell's trainings.
        drawn: Whether the cells were searched or drawn; several always were. One that was is one unit,
            however often it was trained: its trainings say nothing of how other cells would score.

    Raises:
        InputError: If there are no scores.
    """

    groups: tuple[tuple[float, ...], ...]
    drawn: bool = False

    def __post_init__(self) -> None:
        if not self.groups or not all(self.groups):
            raise InputError("a row of a comparison has no scores yet")

    @property
    def units(self) -> tuple[float, ...]:
        """The means of the cells; of a module that is given, its scores."""
        given = len(self.groups) == 1 and not self.drawn
        return self.groups[0] if given else tuple(fmean(group) for group in self.groups)

    @property
    def mean(self) -> float:
        """Mean of the units: every cell counts once, however often it was trained."""
        return fmean(self.units)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the units; None for a single one."""
        return variance(self.units) ** 0.5 if len(self.units) > 1 else None

    def cells_differ(self) -> CellsDiffer | None:
        """Whether there is anything to choose among the cells (SciPy's one-way analysis of variance).

        None for a single cell, cells of a training each, and trainings that do not differ.
        """
        within = self.components().within
        if len(self.groups) < 2 or not within:
            return None
        from scipy.stats import f_oneway

        found: Any = f_oneway(*self.groups)
        return CellsDiffer(float(found.statistic), float(found.pvalue))

    def components(self) -> Components:
        """Both standard deviations, by the analysis of variance (method of moments; a negative one is 0).

        Source: Searle, Casella and McCulloch, "Variance Components", 1992, section 3.6 (unbalanced data).
        """
        num_groups, total = len(self.groups), sum(map(len, self.groups))
        within = None
        if total > num_groups:
            squares = sum(sum((score - fmean(group)) ** 2 for score in group) for group in self.groups)
            within = squares / (total - num_groups)
        if num_groups < 2:
            return Components(between=None, within=None if within is None else within**0.5)
        if within is None:  # a training each: what is between holds both
            return Components(between=variance(self.units) ** 0.5, within=None)
        overall = sum(map(sum, self.groups)) / total
        among = sum(len(group) * (fmean(group) - overall) ** 2 for group in self.groups) / (num_groups - 1)
        usual = (total - sum(len(group) ** 2 for group in self.groups) / total) / (num_groups - 1)
        return Components(between=max(0.0, (among - within) / usual) ** 0.5, within=within**0.5)
