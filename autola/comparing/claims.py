"""Contrasts of rows and what may be claimed of them: settled before the trainings, or not."""

from __future__ import annotations

from collections.abc import Sequence

from autola.comparing.plan import Contrast, Plan
from evaluators.statistics.bootstrap import bootstrap_interval
from evaluators.statistics.difference import Difference, difference
from evaluators.statistics.family import ALARM, gated, holm
from evaluators.statistics.nested import Nested
from evaluators.statistics.power import Design, detectable
from outputs.comparison import Claim, ComparedRow, Verdict


def scores_of(row: ComparedRow) -> Nested:
    """What a row scored, cell by cell."""
    return Nested(tuple(cell.scores for cell in row.cells), drawn=row.drawn)


def claims_of(plan: Plan, rows: Sequence[ComparedRow], margin: float, *, complete: bool) -> list[Claim]:
    """The contrasts of a plan whose rows have scores; the primary one decides whether others may be claimed.

    Args:
        plan: What was settled before.
        rows: Those that have scores.
        margin: Difference below which rows count as equivalent.
        complete: Whether all trainings have ended; nothing is tested before.
    """
    nested = {(row.block, row.name): scores_of(row) for row in rows}
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
    return [
        _claim(
            (contrast.first, contrast.second),
            pair,
            shift,
            (adjusted[place], alone[place], equivalences[place]),
            contrast=contrast,
            tested=complete,
        )
        for place, (contrast, pair, shift) in enumerate(zip(contrasts, pairs, differences))
    ]


def claims_beside(rows: Sequence[ComparedRow], margin: float) -> list[Claim]:
    """The first row minus each other one, by Holm's procedure over all: nobody named a contrast before.

    Args:
        rows: All rows.
        margin: Difference below which rows count as equivalent.
    """
    first, *others = rows
    pairs = [(scores_of(first), scores_of(other)) for other in others]
    found = [difference(*pair) for pair in pairs]
    adjusted = holm([each.p_value() for each in found])
    alike = holm([each.equivalence(margin) for each in found])
    return [
        _claim((first.name, other.name), pair, shift, (p, p, equal))
        for other, pair, shift, p, equal in zip(others, pairs, found, adjusted, alike)
    ]


def _claim(
    names: tuple[str, str],
    pair: tuple[Nested, Nested],
    shift: Difference,
    chances: tuple[float | None, float | None, float | None],
    *,
    contrast: Contrast | None = None,
    tested: bool = True,
) -> Claim:
    """What may be said of two rows, of p-values among all, without the primary contrast, and of equality."""
    adjusted, alone, equivalence = chances
    low, high = shift.interval() or (None, None)
    return Claim(
        block="" if contrast is None else contrast.block,
        first=names[0],
        second=names[1],
        primary=contrast is not None and contrast.primary,
        estimate=shift.estimate,
        low=low,
        high=high,
        bootstrap=bootstrap_interval(*pair),
        p_value=shift.p_value(),
        adjusted=adjusted,
        equivalence=equivalence,
        detectable=None if contrast is None else _detectable(contrast, pair),
        verdict=_verdict(shift, adjusted, alone, equivalence) if tested else "no test",
    )


def _verdict(
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
    designs = [
        Design(*sizes, drawn=row.drawn) for *sizes, row in zip(contrast.cells, contrast.trainings, pair)
    ]
    return detectable(designs[0], designs[1], between=between, within=within)
