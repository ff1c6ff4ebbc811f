"""Rows over several tasks: who ranks where, and which ranks differ.

Source: Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine Learning
Research 7, 2006: Friedman's test over all, Nemenyi's behind it for each pair, as SciPy and scikit-posthocs
compute them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluators.statistics.family import ALARM
from foundation.errors import InputError


def need_posthocs() -> None:
    """Checks that scikit-posthocs is there, before anything is read.

    Raises:
        InputError: If it is not.
    """
    try:
        import scikit_posthocs  # noqa: F401
    except ImportError:
        raise InputError("ranks over tasks need scikit-posthocs: pip install 'autola[analysis]'") from None


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What the ranks of rows over tasks say.

    Attributes:
        mean: Mean rank of each row; 1 is the best, equal scores share a rank.
        friedman: Chance of mean ranks that lie so far apart, if all rows are alike.
        pairs: Chance of so large a difference of two mean ranks, of all pairs together (Nemenyi).
        critical: Smallest difference of mean ranks that counts at 5 %, of all pairs together.
    """

    mean: tuple[float, ...]
    friedman: float
    pairs: tuple[tuple[float, ...], ...]
    critical: float


def ranks_of(scores: Sequence[Sequence[float]]) -> Ranks:
    """Ranks rows by their scores in each task.

    Args:
        scores: A line a task, a column a row; higher is better. Two tasks and three rows at least.
    """
    import numpy as np
    import scikit_posthocs
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    values = np.asarray(scores, dtype=float)
    tasks, rows = values.shape
    assert tasks > 1, "ranks over one task are its own table"
    assert rows > 2, "Friedman's test is of three rows or more"
    mean: Any = rankdata(-values, axis=1).mean(axis=0)
    alike = bool((mean == mean[0]).all())  # SciPy's statistic is 0 / 0 where all scores are equal
    judged: Any = None if alike else friedmanchisquare(*values.T)
    pairs: Any = scikit_posthocs.posthoc_nemenyi_friedman(values).to_numpy()
    quantile = float(studentized_range.ppf(1 - ALARM, rows, np.inf)) / 2**0.5
    return Ranks(
        mean=tuple(mean.tolist()),
        friedman=1.0 if alike else float(judged.pvalue),
        pairs=tuple(tuple(line) for line in pairs.tolist()),
        critical=quantile * (rows * (rows + 1) / (6 * tasks)) ** 0.5,
    )
