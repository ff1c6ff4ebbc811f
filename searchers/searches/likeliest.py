"""Genotypes in the order of what a search thinks of their parts."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from searchers.searches.problem import Problem


def likeliest(problem: Problem, answer: Any, values: Sequence[Sequence[float]]) -> Iterator[Any]:
    """Genotypes by falling value, as far as they are neighbours of what came before.

    Args:
        problem: Whose limits they keep.
        answer: The first.
        values: Of the primitives in every row (rows, primitives); that of a genotype is their sum.
    """
    space, order = problem.space, count()
    candidates = problem.candidates
    rows, columns = {row: n for n, row in enumerate(space.rows)}, space.primitives.index

    def worthlessness(genotype: Any) -> float:
        decided = space.decided(genotype).items()
        return -sum(values[rows[row]][columns(name)] for row, name in decided)

    waiting, seen = [(-math.inf, next(order), answer)], {answer}
    while waiting:
        _, _, genotype = heapq.heappop(waiting)
        yield genotype
        for other in space.neighbours(genotype):
            if other not in seen and candidates.allows(other):
                seen.add(other)
                heapq.heappush(waiting, (worthlessness(other), next(order), other))
