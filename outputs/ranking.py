"""Rows ranked over several tasks: records, a table as CSV, the critical-difference diagram."""

from __future__ import annotations

from pathlib import Path

from foundation.config import config, to_json
from foundation.files import write_atomically, write_text
from outputs.csv_table import write_csv

RANKING, RANKS, DIAGRAM = "ranking.json", "ranking.csv", "ranking.png"
"""Names of the records."""


@config
class RankedTask:
    """One task: a run, or one network and recipe of a run that has several."""

    name: str
    """Task and network."""
    run: str
    """Folder that the scores are from."""
    score: str
    """What the scores are; higher is better."""
    scores: tuple[float, ...]
    """Mean score of each row."""


@config
class Ranking:
    """What ranks over several tasks allow one to say."""

    rows: tuple[str, ...]
    """What is ranked."""
    tasks: tuple[RankedTask, ...]
    """In the order given."""
    mean: tuple[float, ...]
    """Mean rank of each row; 1 is the best."""
    friedman: float
    """Friedman's test: chance of mean ranks that lie so far apart, if all rows are alike."""
    pairs: tuple[tuple[float, ...], ...]
    """Nemenyi's test: chance of so large a difference of two mean ranks, of all pairs together."""
    critical: float
    """Smallest difference of mean ranks that counts, at 5 % false alarms over all pairs."""
    left_out: tuple[str, ...]
    """Rows that some task lacks."""
    sentence: str
    """What these numbers allow one to say."""


def fill_folder(ranking: Ranking, folder: Path) -> None:
    """Writes all records of a ranking."""
    write_text(folder / RANKING, to_json(ranking))
    lines = [[task.name, task.run, task.score, *task.scores] for task in ranking.tasks]
    ranks = ["mean rank", "", "", *ranking.mean]
    write_csv(folder / RANKS, ["task", "run", "score", *ranking.rows], [*lines, ranks])
    draw_ranking(ranking, folder / DIAGRAM)


def draw_ranking(ranking: Ranking, path: Path) -> None:
    """Draws the critical-difference diagram: a bar joins rows whose ranks are not shown to differ."""
    import scikit_posthocs
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from pandas import DataFrame

    rows = list(ranking.rows)
    figure = Figure(figsize=(7.0, 1.4 + 0.16 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    scikit_posthocs.critical_difference_diagram(
        dict(zip(rows, ranking.mean)),
        DataFrame(ranking.pairs, index=rows, columns=rows),
        ax=panel,
        label_props={"fontsize": 8},
        color_palette=dict.fromkeys(rows, "#1D4ED8"),
        crossbar_props={"color": "#1F2937", "marker": None},
    )
    panel.set_title(
        f"mean rank over {len(ranking.tasks)} tasks, 1 is the best; a bar joins rows not shown to differ "
        f"(Nemenyi, 5 %: {ranking.critical:.2f})",
        fontsize=8,
    )
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, format="png"))
