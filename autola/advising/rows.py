"""Who is compared: nothing, what was found, chance at the same cost, one module everywhere."""

from __future__ import annotations

import random
from collections.abc import Mapping

from evaluators.place_costs import PlaceTable
from foundation.seeds import seed_of
from search_space.placement import Placement
from search_space.places import Places
from search_space.space import NONE
from searchers.limits import Limits

NOTHING, FOUND, STRONGEST = "plain", "found", "strongest alone"
NUM_RANDOM = 2
"""Random placements that are trained."""
MOST_EVERYWHERE = 3
"""Modules that are tried everywhere, the cheapest first."""
DRAWS = 400
"""Random placements that the ones of equal cost are chosen from."""


def rows_of(
    space: Places,
    found: Placement,
    shares: Mapping[str, Mapping[str, float]],
    tables: Mapping[str, PlaceTable],
    limits: Limits | None,
    seed: int,
) -> dict[str, Placement]:
    """The placements that are trained, by the name of their row.

    Args:
        space: Sites and candidates.
        found: What the search answered.
        shares: How the candidates competed at each site.
        tables: What candidates cost at the sites, by metric.
        limits: What all of them keep; None for none.
        seed: Seed of the random ones.
    """
    rows = {NOTHING: space.genotype([nothing_at(space, row) for row in space.rows])}
    taken = {row: name for row, name in space.decided(found).items() if name != NONE}

    def add(name: str, placement: Placement) -> None:
        if placement not in rows.values() and (limits is None or limits.allows(placement)):
            rows[name] = placement

    add(FOUND, found)
    if len(taken) > 1:
        strongest = max(taken, key=lambda row: shares[row][taken[row]])
        add(STRONGEST, _only(space, {strongest: taken[strongest]}))
    uniform = [(name, everywhere(space, name)) for name in space.primitives if name != NONE]
    metric = next(iter(tables))
    uniform.sort(key=lambda pair: tables[metric].of(pair[1]))
    allowed = [pair for pair in uniform if limits is None or limits.allows(pair[1])]
    for name, placement in allowed[:MOST_EVERYWHERE]:
        add(f"{name} everywhere", placement)
    if taken:
        for number, placement in enumerate(
            _equal_cost(space, found, len(taken), tables[metric], limits, seed)
        ):
            add(f"random {number + 1}", placement)
    return rows


def everywhere(space: Places, name: str) -> Placement:
    """A candidate at every site that it fits."""
    return _only(space, {row: name for row in space.rows if name in space.names_at(row)})


def nothing_at(space: Places, row: str) -> str:
    """`none`, or where that is no candidate, the first that fits."""
    names = space.names_at(row)
    return NONE if NONE in names else names[0]


def _only(space: Places, taken: Mapping[str, str]) -> Placement:
    return space.genotype([taken.get(row, nothing_at(space, row)) for row in space.rows])


def _equal_cost(
    space: Places, found: Placement, count: int, table: PlaceTable, limits: Limits | None, seed: int
) -> list[Placement]:
    """Random placements of as many modules, those of 400 draws that come nearest in cost."""
    rng = random.Random(seed_of(seed, "random placements"))
    wanted, drawn = table.of(found), list[Placement]()
    for _ in range(DRAWS):
        sites = rng.sample(list(space.rows), count)
        names = {row: [name for name in space.names_at(row) if name != NONE] for row in sites}
        placement = _only(space, {row: rng.choice(known) for row, known in names.items() if known})
        if placement != found and placement not in drawn and (limits is None or limits.allows(placement)):
            drawn.append(placement)
    return sorted(drawn, key=lambda placement: abs(table.of(placement) - wanted))[:NUM_RANDOM]
