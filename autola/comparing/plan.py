"""What is to be claimed, and how small a difference can be seen: written down before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from autola.comparing.config import CompareConfig
from autola.comparing.items import Planned
from autola.comparing.rows import PLAIN, Row
from autola.comparing.showing import in_words
from evaluators.statistics.power import detectable
from foundation.config import config
from foundation.errors import InputError, unknown
from foundation.words import counted
from outputs.comparison import FOUND, RANDOM

log = logging.getLogger(__name__)

PLAN = "plan.json"


@config
class Contrast:
    """Two rows of a block that are compared."""

    block: str
    """Backbone and recipe, where there are several."""
    first: str
    """A row."""
    second: str
    """Another."""
    primary: bool
    """Whether it is tested first; the others are claimed only where it is."""
    cells: tuple[int, int]
    """Cells of each row."""
    trainings: tuple[int, int]
    """Trainings of each of these."""
    detectable: float | None
    """Smallest difference in score that is found in four of five comparisons, under `spread`; in standard
    deviations of a training where that is not given; None where a row is trained once, or is one cell."""


@config
class Plan:
    """What was settled before the first training."""

    contrasts: tuple[Contrast, ...]
    """The primary one first."""
    spread: tuple[float, float] | None
    """Standard deviations that were expected among cells, and among trainings of one."""
    margin: float
    """Difference in score below which rows count as equivalent."""
    trainings: int
    """In all."""
    searches: int
    """In all."""


def plan_of(config: CompareConfig, planned: Planned, trainings: int, searches: int) -> Plan:
    """Names the contrasts, and works out what they can show.

    Raises:
        InputError: If the primary contrast names rows that are not there, or there is nothing to compare.
    """
    primary = _primary(config, planned[0][1])
    contrasts = list[Contrast]()
    for number, (block, rows) in enumerate(planned):
        known = {row.name: row for row in rows}
        first = known[primary[0]] if primary[0] in known else rows[0]
        for other in rows:
            if other is not first:
                is_primary = number == 0 and (first.name, other.name) == primary
                contrasts.append(_contrast(config, block.name, first, other, is_primary))
    contrasts.sort(key=lambda contrast: not contrast.primary)
    return Plan(
        contrasts=tuple(contrasts),
        spread=config.spread,
        margin=config.margin,
        trainings=trainings,
        searches=searches,
    )


def _primary(config: CompareConfig, rows: Sequence[Row]) -> tuple[str, str]:
    names = [row.name for row in rows]
    if len(names) < 2:
        raise InputError("there is one row, so nothing is compared; name another attention or a control")
    if config.primary is not None:
        for name in config.primary:
            if name not in names:
                raise unknown("row", name, names)
        if config.primary[0] == config.primary[1]:
            raise InputError(f"primary compares {config.primary[0]} with itself")
        return config.primary
    usual = RANDOM if FOUND in names else PLAIN
    return names[0], usual if usual in names[1:] else names[1]


def _contrast(config: CompareConfig, block: str, first: Row, second: Row, primary: bool) -> Contrast:
    between, within = config.spread or (1.0, 1.0)
    seen = detectable(first.design, second.design, between=between, within=within)
    return Contrast(
        block=block,
        first=first.name,
        second=second.name,
        primary=primary,
        cells=(first.design.groups, second.design.groups),
        trainings=(first.design.trainings, second.design.trainings),
        detectable=seen,
    )


def _of_one_cell(plan: Plan) -> list[str]:
    """The rows of cells that have one alone."""
    sizes = dict[str, int]()
    for contrast in plan.contrasts:
        sizes |= zip((contrast.first, contrast.second), contrast.cells)
    return [name for name in (FOUND, RANDOM) if sizes.get(name) == 1]


def announce(plan: Plan) -> None:
    """Says what is going to be tested, and what that can show, before it starts."""
    primary = plan.contrasts[0]
    searches = counted(plan.searches, "search", "searches")
    log.info("%s, %s", searches, counted(plan.trainings, "training"))
    contrast = f"{primary.first} - {primary.second}{in_words(primary.block)}"
    then = f"; then {counted(others, 'other')}" if (others := len(plan.contrasts) - 1) else ""
    log.info("primary contrast: %s%s", contrast, then)
    alone = _of_one_cell(plan)
    if alone:
        log.warning(
            "one cell, however often it is trained, shows nothing of the spread of cells: nothing is tested "
            "of %s; give more searches or random cells",
            " and ".join(alone),
        )
    if primary.detectable is None:
        if not {primary.first, primary.second} & {*alone}:
            log.warning(
                "one training shows nothing of the spread: the table will have no intervals; give more seeds"
            )
    elif plan.spread is None:
        log.info(
            "it finds, in four of five such comparisons, a difference of %.1f standard deviations of a "
            "training, if cells differ as much as trainings of one; give --spread for points",
            primary.detectable,
        )
    else:
        log.info(
            "it finds, in four of five such comparisons, a difference of %.2f points, if cells differ by "
            "%.2f and trainings of one by %.2f points",
            *(100 * value for value in (primary.detectable, *plan.spread)),
        )
