"""What every operator costs on every edge: a network's cost is a fixed part and the sum over its edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from foundation.config import config
from search_space.genotype import Genotype
from search_space.space import Space

if TYPE_CHECKING:
    from torch import nn

Metric = Literal["macs", "params", "latency"]
"""What can be limited: multiply-accumulates and weights of the network, milliseconds for one image."""

METRICS: tuple[Metric, ...] = get_args(Metric)


@config
class Sum:
    """What cells of some operators cost that run in one way, as a sum."""

    fixed: float
    """Cost of the network with a cell in every block and nothing on its edges."""
    operators: dict[str, float]
    """Cost of each operator on one edge, in all blocks together; every edge reads as many channels."""

    def knows(self, row: tuple[int, int], operator: str) -> bool:
        """Whether a cell with this operator in a row runs in this way."""
        return operator in self.operators

    def at(self, row: tuple[int, int], operator: str) -> float:
        """Cost of an operator in a row of the space: the same on all edges."""
        return self.operators[operator]

    def of(self, genotype: Genotype) -> float:
        """Cost of the network with a genotype."""
        # Whatever the order of the edges, the same sum.
        return math.fsum((self.fixed, *(self.operators[edge.operator] for _, edge in genotype.edges())))


@config
class CostTable(Sum):
    """One metric of all networks of a space, as a sum, or as one of two.

    Exact for macs and params, which are additive. For latency an estimate: see `cell_latency`. Cells that run
    as one native operator have a sum of their own: with any other operator on an edge, all of the cell runs
    in stock operators, and takes several times as long.
    """

    plain: float
    """Cost of the network without attention."""
    native: Sum | None = None
    """Cost of cells whose operators are all in it; None where cells of all operators run alike."""

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Sums, of which the first that knows all operators of a genotype is its cost; the last knows all."""
        return (self,) if self.native is None else (self.native, self)

    def of(self, genotype: Genotype) -> float:
        """Cost of the network with a genotype."""
        operators = {edge.operator for _, edge in genotype.edges()}
        if self.native is not None and operators <= self.native.operators.keys():
            return self.native.of(genotype)
        return super().of(genotype)


def counted_table(
    metric: Literal["macs", "params"],
    space: Space,
    backbone: Callable[[], nn.Module],
    input_shape: Sequence[int],
) -> CostTable:
    """Counts what operators cost; latency is measured, by `cell_latency.latency_table`.

    Args:
        metric: What is counted.
        space: The operators.
        backbone: Builds the plain network.
        input_shape: (channels, height, width) of an image.
    """

    def of(genotype: Genotype | None) -> float:
        import torch

        from evaluators.cost import macs, params

        with torch.device("meta"):
            outline = network_with(backbone, genotype)
        return float(params(outline) if metric == "params" else macs(outline, input_shape))

    num_edges = len(space.edges)
    counted = {name: of(space.genotype([name] * num_edges)) for name in space.candidates}
    if num_edges == 1:
        fixed = min(counted.values())
    else:
        name = space.candidates[0]
        fixed = counted[name] - num_edges * (counted[name] - of(_one_edge_less(space, name)))
    operators = {name: (cost - fixed) / num_edges for name, cost in counted.items()}
    return CostTable(plain=of(None), fixed=fixed, operators=operators)


def _one_edge_less(space: Space, operator: str) -> Genotype:
    """One operator on every edge but the last of the last node."""
    genotype = space.genotype([operator] * len(space.edges))
    last = genotype.nodes[-1]
    return replace(genotype, nodes=(*genotype.nodes[:-1], replace(last, edges=last.edges[:-1])))


def network_with(backbone: Callable[[], nn.Module], genotype: Genotype | None) -> nn.Module:
    """The network with a genotype in all its cells; plain without one."""
    from search_space.term import Term
    from supernet.attach import attach

    plain = backbone()
    return plain if genotype is None else attach(plain, (Term(name="hoga", genotype=genotype),))
