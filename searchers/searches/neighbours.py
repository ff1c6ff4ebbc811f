"""Neighbours of a genotype or placement, in the order in which they are worth a training."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from search_space.space import NONE
from searchers.candidates import Candidates


def neighbours_of(genotype: Any, candidates: Candidates, rng: random.Random) -> list[Any]:
    """What differs from a genotype in one thing, and keeps the limits.

    First without one of its operators; then with another in its place; then with one moved to where none
    stands; last with one more. Each of the four in an order that is drawn.

    Args:
        genotype: What has neighbours.
        candidates: The space and its limits.
        rng: Draws the orders.
    """
    space = candidates.space
    ours = _standing(space.decided(genotype))
    fewer, changed, more = list[Any](), list[Any](), list[Any]()
    for other in space.neighbours(genotype):
        theirs = _standing(space.decided(other))
        (fewer if theirs < ours else more if ours < theirs else changed).append(other)
    tiers = [fewer, changed, list(_moved(genotype, candidates)), more]
    for tier in tiers:
        rng.shuffle(tier)
    return [other for tier in tiers for other in tier if candidates.allows(other)]


def _standing(decided: Mapping[Any, str]) -> set[tuple[Any, str]]:
    return {pair for pair in decided.items() if pair[1] != NONE}


def _moved(genotype: Any, candidates: Candidates) -> Iterator[Any]:
    """A genotype with one operator in another row that had none, where rows may have none."""
    space = candidates.space
    decided = space.decided(genotype)
    if list(decided) != list(space.rows):  # a cell that keeps some of its edges
        return
    fitting = {row: {space.primitives[column] for column in space.columns_at(row)} for row in space.rows}
    for row, name in decided.items():
        if name != NONE and NONE in fitting[row]:
            for to in space.rows:
                if decided[to] == NONE and name in fitting[to]:
                    yield space.genotype([*{**decided, row: NONE, to: name}.values()])
