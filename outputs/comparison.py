"""What a comparison ends with: rows, contrasts, a sentence, tables as CSV and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.files import write_atomically
from outputs.csv_table import write_csv
from outputs.labels import Points, label_points

COMPARISON, ROWS, SCORES, PICTURE = "comparison.json", "comparison.csv", "scores.csv", "comparison.png"
"""Names of the records."""

FOUND, RANDOM = "found", "random"
"""Names of the rows of cells that were searched, and drawn; every other row is a module that is given."""


def are_drawn(row: str) -> bool:
    """Whether a row of this name is of cells that were searched or drawn."""
    return row in (FOUND, RANDOM)


Verdict = Literal["higher", "lower", "equivalent", "no difference shown", "not claimed", "no test"]
"""What may be said of a contrast. "not claimed": it would differ alone, but the primary contrast does not."""


@config
class ComparedCell:
    """One module of a row, or one network where a row has no cells."""

    attention: str
    """In the grammar."""
    seeds: tuple[int, ...]
    """One training each, of those that have ended."""
    scores: tuple[float, ...]
    """Test score of each."""
    search_score: float | None = None
    """Score that the search that found it gave it."""
    params: int
    """Parameters of the network."""
    macs: int
    """Multiply-accumulates of one image."""
    step_ms: float | None = None
    """Median time of a train step; None where it was not measured."""
    latency_ms: float | None = None
    """Median time of one image in evaluation, as the ratio to the plain network times the plain network's."""
    latency_ratio: float | None = None
    """That ratio."""

    def __post_init__(self) -> None:
        rules.one_each(self, "seeds", "scores")


@config
class ComparedRow:
    """What is compared: cells that were found, random ones, a module, a control."""

    name: str
    """As the contrasts name it."""
    block: str
    """Backbone and recipe, where there are several."""
    setting: str
    """How the network differs from the task's own: width=22; empty where it does not."""
    cells: tuple[ComparedCell, ...]
    """One a search or draw; one alone for a module that is given."""
    mean: float
    """Mean of the cells' means."""
    deviation: float | None
    """Standard deviation of these, None of a single one; of a module that is given, of its scores."""
    between: float | None
    """Standard deviation among cells."""
    within: float | None
    """Standard deviation among trainings of a cell."""
    f_statistic: float | None = None
    """F of the test of whether cells differ at all, once all is trained; None where there are not several,
    trained several times."""
    f_p_value: float | None = None
    """Its p-value."""

    @property
    def drawn(self) -> bool:
        """Whether its cells were searched or drawn, so that one says nothing of how others score."""
        return are_drawn(self.name)

    def cost(self, name: Literal["params", "macs", "step_ms", "latency_ms", "latency_ratio"]) -> float | None:
        """Mean of a cost over the cells; None where it was not measured."""
        values = [getattr(cell, name) for cell in self.cells]
        return None if None in values else fmean(values)


@config
class Claim:
    """A contrast of two rows: the first minus the second."""

    block: str
    """Backbone and recipe, where there are several."""
    first: str
    """A row."""
    second: str
    """Another of the same block."""
    primary: bool
    """Whether it was named as the one that is tested first."""
    estimate: float
    """The difference in score."""
    low: float | None
    """Lower end of its 95 % interval, of this contrast alone; None where the spread is unknown."""
    high: float | None
    """Upper end."""
    bootstrap: tuple[float, float] | None
    """Percentile interval by the hierarchical bootstrap, which is too short at few cells."""
    p_value: float | None
    """Of this contrast alone."""
    adjusted: float | None
    """Of all contrasts together: below 0.05 it is claimed."""
    equivalence: float | None
    """Adjusted chance of so small a difference if the truth is the margin or more."""
    detectable: float | None
    """Smallest difference that would be found in four of five such comparisons, given the spread seen."""
    verdict: Verdict
    """What may be said."""


@config
class Comparison:
    """What a comparison ends with."""

    run: str
    """Its folder."""
    score: str
    """What the scores are."""
    done: int
    """Trainings that have ended."""
    planned: int
    """Trainings in all."""
    rows: tuple[ComparedRow, ...]
    """In the order of the plan; those without a score yet are left out."""
    claims: tuple[Claim, ...]
    """The primary contrast first."""
    margin: float
    """Difference in score below which rows count as equivalent."""
    improvement: float | None
    """Score of the found cells over that of the random ones, minus 1, in the first block that has both."""
    ranks: tuple[float, ...]
    """Kendall's tau of search-time and retrained scores over the cells that each search judged, as retrained
    in the first block."""
    sentence: str
    """What these numbers allow one to say."""


def improvements(rows: Sequence[ComparedRow]) -> dict[str, float]:
    """Score of the found cells over that of the random ones, minus 1, by the block; those that have both.

    Source: Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020, section 3.
    """
    means = {(row.block, row.name): row.mean for row in rows}
    return {
        block: means[block, FOUND] / means[block, RANDOM] - 1
        for block, name in means
        if name == FOUND and means.get((block, RANDOM))
    }


def write_tables(comparison: Comparison, folder: Path) -> None:
    """Writes rows and single scores as CSV, for other programs."""
    names = ["block", "row", "setting", "cells", "trainings", "mean", "deviation", "between", "within"]
    names += ["f_statistic", "f_p_value"]
    costs = ("params", "macs", "step_ms", "latency_ms", "latency_ratio")
    rows = [
        [
            *(row.block, row.name, row.setting, len(row.cells), sum(len(cell.scores) for cell in row.cells)),
            *(row.mean, row.deviation, row.between, row.within, row.f_statistic, row.f_p_value),
            *(row.cost(cost) for cost in costs),
        ]
        for row in comparison.rows
    ]
    write_csv(folder / ROWS, [*names, *costs], rows)
    scores = [
        [row.block, row.name, number, cell.attention, cell.search_score, seed, score]
        for row in comparison.rows
        for number, cell in enumerate(row.cells)
        for seed, score in zip(cell.seeds, cell.scores)
    ]
    write_csv(folder / SCORES, ["block", "row", "cell", "attention", "search_score", "seed", "score"], scores)


def front(rows: Sequence[ComparedRow], metric: Literal["macs", "latency_ms"]) -> list[ComparedRow]:
    """Rows that no other one is as good as in score and cost, and better in one, cheapest first."""

    def price(row: ComparedRow) -> tuple[float, float]:
        return row.cost(metric) or 0.0, -row.mean

    def beaten(row: ComparedRow) -> bool:
        own = price(row)
        return any(price(other) != own and all(a <= b for a, b in zip(price(other), own)) for other in rows)

    return sorted((row for row in rows if not beaten(row)), key=price)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draws score over latency (or multiply-accumulates, unmeasured) into a PNG file, a panel a block."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    blocks = list(dict.fromkeys(row.block for row in comparison.rows))
    timed = all(row.cost("latency_ms") is not None for row in comparison.rows)
    metric, unit = ("latency_ms", 1.0) if timed else ("macs", 1e6)
    figure = Figure(figsize=(6.0 * len(blocks), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels, names = figure.subplots(1, len(blocks), squeeze=False)[0], list[Points]()
    for panel, block in zip(panels, blocks):
        rows = [row for row in comparison.rows if row.block == block]
        best = front(rows, metric)
        edge = [((row.cost(metric) or 0) / unit, 100 * row.mean) for row in best]
        panel.step(*zip(*edge), where="post", color="#C7D2E8", zorder=0, label="front")
        names.append([])
        for row in rows:
            x, y = (row.cost(metric) or 0) / unit, 100 * row.mean
            color = "#1D4ED8" if row in best else "#8A93A0"
            panel.errorbar(x, y, 100 * (row.deviation or 0), fmt="o", color=color, capsize=2, markersize=4)
            names[-1].append((x, y, row.name))
        panel.set_xlabel("latency of one image (ms)" if timed else "multiply-accumulates (M)")
        panel.set_ylabel(f"{comparison.score} (%), bars one standard deviation")
        panel.set_title(block, fontsize=9)
        panel.margins(0.15)
    for panel, named in zip(panels, names):
        label_points(panel, named)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, format="png"))
