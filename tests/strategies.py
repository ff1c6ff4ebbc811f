"""What hypothesis draws for the tests of several rooms."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from search_space.genotype import Fuse, Genotype
from search_space.space import HOGA

FUSES: tuple[Fuse, ...] = get_args(Fuse)

OPERATORS = st.sampled_from(HOGA.candidates)
NUM_NODES = st.integers(1, 5)
ANY_FUSE = st.sampled_from(FUSES)


@st.composite
def genotypes(
    draw: st.DrawFn,
    *,
    operators: st.SearchStrategy[str] = OPERATORS,
    num_nodes: st.SearchStrategy[int] = NUM_NODES,
    fuses: st.SearchStrategy[Fuse] = ANY_FUSE,
    every_edge: bool = False,
) -> Genotype:
    """Valid genotypes: any edges in any order, or `every_edge` in any order."""
    nodes = []
    for i in range(1, draw(num_nodes) + 1):
        order = draw(st.permutations(range(i)))
        kept = i if every_edge else draw(st.integers(1, i))
        nodes.append([(draw(operators), j) for j in order[:kept]])
    return Genotype.of(nodes, fuse=draw(fuses))
