"""From the results of the trainings to what they allow one to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autola.comparing.claims import claims_of
from autola.comparing.config import CompareConfig
from autola.comparing.items import Item, Planned, found_in, searches_of
from autola.comparing.plan import Plan
from autola.comparing.rows import Row
from autola.comparing.saying import sentence_of
from autola.scoring import JUDGED, SCORE
from evaluators.statistics.nested import Nested
from foundation.config import parse
from outputs.comparison import FOUND, ComparedCell, ComparedRow, Comparison, are_drawn, improvements
from outputs.records import RESULT
from outputs.run_directory import RunDirectory
from search_space.term import label


def concluded(
    config: CompareConfig,
    plan: Plan,
    planned: Planned,
    items: Sequence[Item],
    whole: RunDirectory,
    *,
    scores: Mapping[str, float],
    costs: Mapping[str, Any],
    score: str,
    added_after: int,
) -> Comparison:
    """What a comparison allows one to say, of the trainings that have ended.

    Args:
        config: The comparison, with what was added.
        plan: Its contrasts.
        planned: Its rows.
        items: All its trainings.
        whole: Its folder, for what its searches say.
        scores: Test score of each training that has ended, by its folder.
        costs: Costs of the network of each cell, by `cost_key`.
        score: What the scores are.
        added_after: Most trainings that had ended when something was added; 0 for nothing.
    """
    searched, whole_comparison = search_scores(config, whole), len(scores) == len(items)
    rows = list[ComparedRow]()
    for block, its_rows in planned:
        for row in its_rows:
            cells = list(_cells(row, [item for item in items if item.row is row], scores, costs, searched))
            if cells:
                rows.append(compared_row(row.name, block.name, row.setting, cells, complete=whole_comparison))
    claims = claims_of(plan, rows, config.margin, complete=whole_comparison)
    comparison = Comparison(
        run=str(whole.path),
        score=score,
        done=len(scores),
        planned=len(items),
        rows=tuple(rows),
        claims=tuple(claims),
        margin=config.margin,
        improvement=next(iter(improvements(rows).values()), None),
        ranks=_ranks(rows, searched),
        sentence="",
    )
    return replace(comparison, sentence=sentence_of(comparison, config, added_after))


def compared_row(
    name: str, block: str, setting: str, cells: Sequence[ComparedCell], *, complete: bool = True
) -> ComparedRow:
    """A row with its mean, and where its scores differ; tested only where the comparison is complete."""
    values = Nested(tuple(cell.scores for cell in cells), drawn=are_drawn(name))
    parts, differ = values.components(), values.cells_differ() if complete else None
    return ComparedRow(
        name=name,
        block=block,
        setting=setting,
        cells=tuple(cells),
        mean=values.mean,
        deviation=values.spread,
        between=parts.between,
        within=parts.within,
        f_statistic=differ and differ.statistic,
        f_p_value=differ and differ.p_value,
    )


def cost_key(item: Item) -> str:
    """Names the network of a training: its seed makes no difference."""
    return item.name.rpartition("-seed")[0]


def search_scores(config: CompareConfig, whole: RunDirectory) -> list[dict[str, float]]:
    """What each search that has ended thinks of cells, by their text; its own first."""
    found = list[dict[str, float]]()
    for name, genotype in zip(searches_of(config), found_in(config, whole.path)):
        if genotype is None:
            continue
        result = RunDirectory(whole.path / name).keys(RESULT)
        known = {str(genotype): result[SCORE]} if SCORE in result else {}
        judged = parse(dict[str, float], result.get(JUDGED, {}), f"{whole.path / name / RESULT}: {JUDGED}")
        found.append({**known, **judged})
    return found


def _cells(
    row: Row,
    items: Sequence[Item],
    scores: Mapping[str, float],
    costs: Mapping[str, Any],
    searched: Sequence[Mapping[str, float]],
) -> Sequence[ComparedCell]:
    found = list[ComparedCell]()
    for number, cell in enumerate(row.cells):
        ended = [item for item in items if item.cell == number and item.name in scores]
        if cell is None or not ended or cost_key(ended[0]) not in costs:
            continue
        known = searched[number] if row.name == FOUND and number < len(searched) else {}
        genotype = cell[0].genotype if len(cell) == 1 else None
        found.append(
            ComparedCell(
                attention=label(cell) if genotype is None else str(genotype),
                seeds=tuple(item.seed for item in ended),
                scores=tuple(scores[item.name] for item in ended),
                search_score=known.get(str(genotype)),
                **costs[cost_key(ended[0])],
            )
        )
    return found


def _ranks(rows: Sequence[ComparedRow], searched: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
    """Kendall's tau of each search: its scores of cells, and what these reached in the first block."""
    from scipy.stats import kendalltau

    reached = dict[str, float]()
    for row in rows:
        if row.block == rows[0].block and row.drawn:
            reached |= {cell.attention: Nested((cell.scores,)).mean for cell in row.cells}
    found = list[float]()
    for known in searched:
        pairs = [(value, reached[text]) for text, value in known.items() if text in reached]
        if len(pairs) > 2:
            judged: Any = kendalltau(*zip(*pairs))
            tau = float(judged.statistic)
            found += [tau] if tau == tau else []  # not a number where all are equal
    return tuple(found)
