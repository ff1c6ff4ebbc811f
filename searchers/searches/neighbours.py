"""Neighbours of a genotype or placement, in the order in which they are worth a training."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import inf
from typing import Any

from search_space.space import NONE
from searchers.candidates import Candidates


def neighbours_of(
    genotype: Any, candidates: Candidates, rng: random.Random, known: Mapping[Any, float] | None = None
) -> list[Any]:
    """What differs from a genotype in one thing, and keeps the limits.

    First without one of its operators; then, for each that it has, with another in its place, and with it
    moved to where none stands, the one first that is missed most where it is known to be left out; last with
    one more. What else there is to order is drawn.

    Args:
        genotype: What has neighbours.
        candidates: The space and its limits.
        rng: Draws the orders.
        known: Scores of what was trained, higher is better.
    """
    space, scores = candidates.space, known or {}
    decided = space.decided(genotype)
    standing = [row for row, name in decided.items() if name != NONE]
    rng.shuffle(standing)
    changed: dict[Any, list[Any]] = {row: [] for row in standing}
    without, more = dict[Any, Any](), list[Any]()
    for other in space.neighbours(genotype):
        theirs = space.decided(other)
        (row,) = (row for row, name in decided.items() if theirs.get(row, NONE) != name)
        if decided[row] == NONE:
            more.append(other)
        elif theirs.get(row, NONE) == NONE:
            without[row] = other
        else:
            changed[row].append(other)
    order = sorted(standing, key=lambda row: scores.get(without.get(row), inf))
    found = [without[row] for row in standing if row in without]
    for row in order:
        for tier in changed[row], _moved(row, decided, candidates):
            rng.shuffle(tier)
            found += tier
    rng.shuffle(more)
    return [other for other in [*found, *more] if candidates.allows(other)]


def _moved(row: Any, decided: Mapping[Any, str], candidates: Candidates) -> list[Any]:
    """What stands in a row in another one that has none, where rows may have none."""
    space = candidates.space
    if list(decided) != list(space.rows):  # a cell that keeps some of its edges
        return []
    fitting = {each: {space.primitives[column] for column in space.columns_at(each)} for each in space.rows}
    if NONE not in fitting[row]:
        return []
    return [
        space.genotype([*{**decided, row: NONE, to: decided[row]}.values()])
        for to in space.rows
        if decided[to] == NONE and decided[row] in fitting[to]
    ]
