"""From alphas to a genotype."""

from __future__ import annotations

from collections.abc import Sequence

from search_space.genotype import Genotype
from search_space.space import NONE, Space


def argmax(space: Space, weights: Sequence[Sequence[float]]) -> Genotype:
    """The public derivation rule: every edge kept, with its strongest operator that is not `none`.

    Edges of a node are listed by decreasing strength; equal strengths keep the order of the states.
    Source: public AutoLA code, model_search.py:48-77.

    Args:
        space: The space searched.
        weights: Mixing weights (edges, primitives), rows in the order of `space.edges`.
    """
    best = {
        edge: max(
            ((weight, -column) for column, weight in enumerate(row) if space.primitives[column] != NONE)
        )
        for edge, row in zip(space.edges, weights, strict=True)
    }
    nodes = []
    for i in range(1, space.num_nodes + 1):
        order = sorted(range(i), key=lambda j: -best[i, j][0])
        nodes.append([(space.primitives[-best[i, j][1]], j) for j in order])
    return Genotype.of(nodes, space=space.name, fuse=space.fuse)
