"""From the results of the trainings to what they allow one to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autola.comparing.config import CompareConfig
from autola.comparing.items import Item, Planned, found_in, searches_of
from autola.comparing.plan import Contrast, Plan
from autola.comparing.rows import FOUND, RANDOM, Row
from autola.comparing.saying import sentence_of
from autola.scoring import JUDGED, SCORE
from evaluators.statistics.bootstrap import bootstrap_interval
from evaluators.statistics.difference import Difference, difference
from evaluators.statistics.family import ALARM, gated, holm
from evaluators.statistics.nested import Nested
from evaluators.statistics.power import Design, detectable
from foundation.config import parse
from outputs.comparison import Claim, ComparedCell, ComparedRow, Comparison, Verdict
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
    rows, nested = list[ComparedRow](), dict[tuple[str, str], Nested]()
    for block, its_rows in planned:
        for row in its_rows:
            cells = list(_cells(row, [item for item in items if item.row is row], scores, costs, searched))
            if not cells:
                continue
            nested[block.name, row.name] = Nested(tuple(cell.scores for cell in cells))
            rows.append(compared_row(row.name, block.name, row.setting, cells, complete=whole_comparison))
    claims = _claims(plan, nested, config.margin, complete=whole_comparison)
    comparison = Comparison(
        run=str(whole.path),
        score=score,
        done=len(scores),
        planned=len(items),
        rows=tuple(rows),
        claims=tuple(claims),
        margin=config.margin,
        improvement=_improvement(nested),
        ranks=_ranks(rows, searched),
        sentence="",
    )
    return replace(comparison, sentence=sentence_of(comparison, config, added_after))


def compared_row(
    name: str, block: str, setting: str, cells: Sequence[ComparedCell], *, complete: bool = True
) -> ComparedRow:
    """A row with its mean, and where its scores differ; tested only where the comparison is complete."""
    values = Nested(tuple(cell.scores for cell in cells))
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


def _claims(
    plan: Plan, nested: Mapping[tuple[str, str], Nested], margin: float, *, complete: bool
) -> list[Claim]:
    """The contrasts whose rows have scores; the primary one decides whether others may be claimed."""
    contrasts = [
        each
        for each in plan.contrasts
        if {(each.block, each.first), (each.block, each.second)} <= nested.keys()
    ]
    pairs = [(nested[each.block, each.first], nested[each.block, each.second]) for each in contrasts]
    differences = [difference(*pair) for pair in pairs]
    p_values = [each.p_value() for each in differences]
    alike = [each.equivalence(margin) for each in differences]
    if contrasts and contrasts[0].primary:
        adjusted = [p_values[0], *gated(p_values[0], p_values[1:])]
        alone = [p_values[0], *holm(p_values[1:])]
        equivalences = [alike[0], *holm(alike[1:])]
    else:  # the primary contrast has no scores yet
        adjusted, alone, equivalences = [None] * len(contrasts), holm(p_values), holm(alike)
    found = list[Claim]()
    for place, (contrast, pair, shift) in enumerate(zip(contrasts, pairs, differences)):
        verdict = (
            verdict_of(shift, adjusted[place], alone[place], equivalences[place]) if complete else "no test"
        )
        interval = shift.interval() or (None, None)
        found.append(
            Claim(
                block=contrast.block,
                first=contrast.first,
                second=contrast.second,
                primary=contrast.primary,
                estimate=shift.estimate,
                low=interval[0],
                high=interval[1],
                bootstrap=bootstrap_interval(*pair),
                p_value=p_values[place],
                adjusted=adjusted[place],
                equivalence=equivalences[place],
                detectable=_detectable(contrast, pair),
                verdict=verdict,
            )
        )
    return found


def verdict_of(
    shift: Difference, adjusted: float | None, alone: float | None, equivalence: float | None
) -> Verdict:
    """What may be said of a difference.

    Args:
        shift: The difference.
        adjusted: Its p-value among all that are tested, and behind the primary contrast.
        alone: The same without the primary contrast; `adjusted` where there is none.
        equivalence: The p-value of a difference of the margin or more, likewise.
    """
    if shift.error is None or adjusted is None or alone is None or equivalence is None:
        return "no test"
    if adjusted < ALARM:
        return "higher" if shift.estimate > 0 else "lower"
    if equivalence < ALARM:
        return "equivalent"
    return "not claimed" if alone < ALARM else "no difference shown"


def _detectable(contrast: Contrast, pair: tuple[Nested, Nested]) -> float | None:
    """What the contrast's design finds, given the spread that was seen: the larger row's of each kind."""
    parts = [row.components() for row in pair]
    between = max((part.between for part in parts if part.between is not None), default=0.0)
    within = max((part.within for part in parts if part.within is not None), default=0.0)
    if not between + within:
        return None
    designs = [Design(*sizes) for sizes in zip(contrast.cells, contrast.trainings)]
    return detectable(designs[0], designs[1], between=between, within=within)


def _improvement(nested: Mapping[tuple[str, str], Nested]) -> float | None:
    """Source: Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020, section 3."""
    for block, _ in nested:
        if {(block, FOUND), (block, RANDOM)} <= nested.keys() and nested[block, RANDOM].mean:
            return nested[block, FOUND].mean / nested[block, RANDOM].mean - 1
    return None


def _ranks(rows: Sequence[ComparedRow], searched: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
    """Kendall's tau of each search: its scores of cells, and what these reached in the first block."""
    from scipy.stats import kendalltau

    reached = dict[str, float]()
    for row in rows:
        if row.block == rows[0].block and row.name in (FOUND, RANDOM):
            reached |= {cell.attention: Nested((cell.scores,)).mean for cell in row.cells}
    found = list[float]()
    for known in searched:
        pairs = [(value, reached[text]) for text, value in known.items() if text in reached]
        if len(pairs) > 2:
            judged: Any = kendalltau(*zip(*pairs))
            tau = float(judged.statistic)
            found += [tau] if tau == tau else []  # not a number where all are equal
    return tuple(found)
