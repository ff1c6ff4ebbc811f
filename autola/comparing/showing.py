"""What a comparison ends with, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from autola.arguments import out_of_terminal
from outputs.comparison import improvements

if TYPE_CHECKING:
    from rich.table import Table

    from outputs.comparison import Claim, ComparedRow, Comparison
    from outputs.ranking import Ranking

SHOWN = {"no difference shown": "not shown"}
"""Verdicts in fewer words, for the table."""

LEFT = ("in", "row", "p", "verdict")
"""Columns of words; numbers stand at the right."""


def show(comparison: Comparison) -> None:
    """Prints the rows, what may be said of each, what they cost, and the sentence."""
    from rich.console import Console

    if comparison.rows:
        several = len({row.block for row in comparison.rows}) > 1
        names = [[row.block, row.name] if several else [row.name] for row in comparison.rows]
        head = ["in", "row"] if several else ["row"]
        Console().print(_table([*head, *score_head(comparison)], _joined(names, score_lines(comparison))))
        _show_spread(comparison)
        out_of_terminal("")
        costs = _joined(names, map(cost_words, comparison.rows))
        Console().print(_table([*head, "params", "MACs", "train step ms", "image ms", "to plain"], costs))
    out_of_terminal(f"\n{comparison.sentence}\n")
    out_of_terminal(f"run    {comparison.run}")


def _joined(names: Iterable[list[str]], lines: Iterable[list[str]]) -> list[list[str]]:
    return [[*name, *line] for name, line in zip(names, lines)]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    view = Table(box=None, header_style="bold", pad_edge=False)
    head, lines = filled(head, lines)
    for column in head:
        fold = column == "row"
        right = column not in LEFT
        view.add_column(column, justify="right" if right else "left", overflow="fold" if fold else "ellipsis")
    for line in lines:
        view.add_row(*map(escape, line))
    return view


def filled(head: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """A table without the columns that have no value in any line."""
    kept = [place for place in range(len(head)) if any(line[place] for line in lines)]
    return [head[place] for place in kept], [[line[place] for place in kept] for line in lines]


def score_head(comparison: Comparison) -> list[str]:
    """The headings of `score_lines`."""
    first = comparison.claims[0].first if comparison.claims else ""
    return ["runs", f"{comparison.score} %".replace("accuracy", "acc."), f"{first} - row", "p", "verdict"]


def score_lines(comparison: Comparison) -> list[list[str]]:
    """Trainings, score and what may be said of each row; empty where nothing is compared yet."""
    claims = {(claim.block, claim.second): claim for claim in reversed(comparison.claims)}
    return [score_words(row, claims.get((row.block, row.name))) for row in comparison.rows]


def score_words(row: ComparedRow, claim: Claim | None) -> list[str]:
    """Trainings, score, the first row's lead, p and verdict of a row."""
    trainings = sorted({len(cell.scores) for cell in row.cells})
    runs = "-".join(map(str, trainings)) if len(trainings) < 2 else f"{trainings[0]}-{trainings[-1]}"
    spread = f" ± {100 * row.deviation:.2f}" if row.deviation is not None else ""
    shift = p_value = verdict = ""
    if claim is not None:
        shift = f"{100 * claim.estimate:+.2f}"
        if claim.low is not None and claim.high is not None:
            shift += f" [{100 * claim.low:+.2f}, {100 * claim.high:+.2f}]"
        p_value = "" if claim.adjusted is None else f"{claim.adjusted:.3f}"
        verdict = SHOWN.get(claim.verdict, claim.verdict) + (" *" if claim.primary else "")
    cells = f"{len(row.cells)} x {runs}" if row.drawn or len(row.cells) > 1 else runs
    return [cells, f"{100 * row.mean:.2f}{spread}", shift, p_value, verdict]


def cost_words(row: ComparedRow) -> list[str]:
    """Parameters, MACs, train step, image and its ratio to plain; empty where they were not measured."""
    from autola.tables import mega

    step, image, ratio = (row.cost(name) for name in ("step_ms", "latency_ms", "latency_ratio"))
    return [
        f"{row.cost('params') or 0:,.0f}",
        mega(round(row.cost("macs") or 0)),
        "" if step is None else f"{step:.1f}",
        "" if image is None else f"{image:.2f}",
        "" if ratio is None else f"{ratio:.2f}x",
    ]


def spread_words(row: ComparedRow) -> str:
    """How much the cells of a row differ, and whether that is more than chance; empty where nobody knows."""
    if row.between is None or row.within is None:
        return ""
    told = (
        f"{row.name}: cells differ by {100 * row.between:.2f} points, trainings of one by "
        f"{100 * row.within:.2f} (standard deviations)"
    )
    if row.f_statistic is None or row.f_p_value is None:
        return told
    cells, trainings = len(row.cells), sum(len(cell.scores) for cell in row.cells)
    return f"{told}; F({cells - 1}, {trainings - cells}) = {row.f_statistic:.2f}, p {row.f_p_value:.3f}"


def _show_spread(comparison: Comparison) -> None:
    """Says where the scores of rows of cells differ, and what the search's own scores are worth."""
    if legend := legend_of(comparison):
        out_of_terminal(legend)
    for row in comparison.rows:
        if row.setting:
            out_of_terminal(f"{row.block} {row.name}: {row.setting}".strip())
    for line in filter(None, map(spread_words, comparison.rows)):
        out_of_terminal(line)
    for block, share in improvements(comparison.rows).items():
        out_of_terminal(f"found is {100 * share:+.2f} % relative to random{in_words(block)}")
    if comparison.ranks:
        each, where = " ".join(f"{tau:+.2f}" for tau in comparison.ranks), in_words(comparison.rows[0].block)
        out_of_terminal(
            f"search-time and retrained scores{where}: Kendall's tau {fmean(comparison.ranks):+.2f} ({each})"
        )


def legend_of(comparison: Comparison) -> str:
    """What the signs in the table of scores mean, those that are there."""
    claims = comparison.claims
    signs = {
        "± one standard deviation": any(row.deviation is not None for row in comparison.rows),
        "in brackets 95 % intervals": any(claim.low is not None for claim in claims),
        "p of all contrasts together": any(claim.adjusted is not None for claim in claims),
        "* the primary contrast": any(claim.primary for claim in claims),
    }
    return "; ".join(sign for sign, there in signs.items() if there)


def in_words(block: str) -> str:
    """Where something holds, of a comparison of several blocks; empty for one alone."""
    return f" in {block}" if block else ""


def show_ranking(ranking: Ranking, folder: Path | None) -> None:
    """Prints the scores in each task, the mean ranks, and the sentence."""
    from rich.console import Console
    from rich.table import Table

    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("row", overflow="fold")
    for task in ranking.tasks:
        view.add_column(f"{task.name}, {task.score} %", justify="right", overflow="fold")
    view.add_column("mean rank", justify="right")
    for place in sorted(range(len(ranking.rows)), key=lambda place: ranking.mean[place]):
        scores = [f"{100 * task.scores[place]:.2f}" for task in ranking.tasks]
        view.add_row(ranking.rows[place], *scores, f"{ranking.mean[place]:.2f}")
    Console().print(view)
    out_of_terminal(f"\n{ranking.sentence}")
    if folder is not None:
        out_of_terminal(f"\nwrote {folder}")
