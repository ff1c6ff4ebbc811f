"""The table that a retraining ends with."""

from __future__ import annotations

from statistics import fmean, stdev

from foundation import rules
from foundation.config import config

TABLE = "table.json"


@config
class Row:
    """One attention in the table of a retraining."""

    attention: str
    """Text of the attention in the grammar."""
    params: int
    """Parameters of the network."""
    macs: int
    """Multiply-accumulates of one image."""
    seeds: tuple[int, ...]
    """Seeds of the trainings, one training each."""
    scores: tuple[float, ...]
    """Test score of each seed, a share of 1; higher is better."""
    seconds: float
    """Seconds of training, averaged over seeds, on the machine that trained."""

    def __post_init__(self) -> None:
        rules.one_each(self, "seeds", "scores")

    @property
    def mean(self) -> float:
        """Mean score over the seeds."""
        return fmean(self.scores)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def difference(self, other: Row) -> tuple[float, float | None]:
        """Mean difference to another row over the shared seeds, and half its 95 % interval.

        The interval is Student's for paired differences: equal seeds share the backbone's first weights
        and the order of the images.
        """
        pairs = dict(zip(other.seeds, other.scores))
        differences = [score - pairs[seed] for seed, score in zip(self.seeds, self.scores) if seed in pairs]
        if len(differences) < 2:
            return fmean(differences), None
        from scipy.stats import t

        standard_error = stdev(differences) / len(differences) ** 0.5
        return fmean(differences), float(t.ppf(0.975, len(differences) - 1)) * standard_error


@config
class Table:
    """What a retraining ends with."""

    run: str
    """Path of the run folder."""
    score: str
    """Name of the metric that the scores are."""
    rows: tuple[Row, ...]
    """Rows, one for each attention, in the order given."""
    missing: tuple[str, ...] = ()
    """Trainings that failed too often and were set aside: which, why, where the log is."""


def cells_of(table: Table) -> list[tuple[str, ...]]:
    """What is shown of each row: attention, parameters, MACs, score, difference to none, seeds, seconds."""
    plain = next((row for row in table.rows if row.attention == "none"), None)
    cells = list[tuple[str, ...]]()
    for row in table.rows:
        spread = f" ± {100 * row.spread:.2f}" if row.spread is not None else ""
        difference = ""
        if plain is not None and row is not plain:
            shift, interval = row.difference(plain)
            difference = f"{100 * shift:+.2f}" + (f" ± {100 * interval:.2f}" if interval is not None else "")
        score, seconds = f"{100 * row.mean:.2f}{spread}", f"{row.seconds:.0f}"
        cells.append((
            row.attention, f"{row.params:,}", mega(row.macs), score, difference, str(len(row.seeds)), seconds
        ))  # fmt: skip
    return cells


def mega(number: float) -> str:
    """A count in millions, or billions from one on."""
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"
