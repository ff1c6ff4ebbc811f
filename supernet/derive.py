"""Rules that derive a genotype from alphas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from search_space.genotype import Genotype
from search_space.space import NONE, Space

Weights = Sequence[Sequence[float]]


def strongest(space: Space, weights: Weights, most: int | None = None) -> Genotype:
    """Every edge with its strongest operator that is not `none`; of every node the strongest edges.

    Edges of a node are listed by decreasing strength; equal strengths keep the order of the states.

    Args:
        space: The space searched.
        weights: Strengths (edges, primitives), rows in the order of `space.edges`.
        most: Edges that a node keeps; None for all.
    """
    best = {
        edge: max(
            ((weight, -column) for column, weight in enumerate(row) if space.primitives[column] != NONE)
        )
        for edge, row in zip(space.edges, weights, strict=True)
    }
    nodes = []
    for i in range(1, space.num_nodes + 1):
        order = sorted(range(i), key=lambda j: -best[i, j][0])[:most]
        nodes.append([(space.primitives[-best[i, j][1]], j) for j in order])
    return Genotype.of(nodes, space=space.name, fuse=space.fuse)


def argmax(space: Space, weights: Weights) -> Genotype:
    """The public derivation rule: every edge kept, with its strongest operator that is not `none`.

    Source: public AutoLA code, model_search.py:48-77.
    """
    return strongest(space, weights)


def top2(space: Space, weights: Weights) -> Genotype:
    """The two strongest edges of every node; the first node has one.

    Source: Liu et al., "DARTS", ICLR 2019, section 2.4 (arXiv:1806.09055).
    """
    return strongest(space, weights, 2)


Rule = Literal["argmax", "top2"]

RULES: dict[Rule, Callable[[Space, Weights], Genotype]] = {"argmax": argmax, "top2": top2}
"""Derivation rules that need nothing but strengths."""
