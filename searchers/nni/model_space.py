"""A space as NNI's own `ModelSpace`, so that the strategies of `nni.nas` search it.

Use it with NNI's sequential engine: the one of NNI 3.0 that runs trials for `nni.nas` hangs (its issue 5684).
This module imports NNI, which is slow; nothing else of autola imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn

from search_space.cell import Cell, edge_name, group_width
from search_space.genotype import Genotype
from search_space.operator import OPERATORS
from search_space.space import Space
from search_space.state import State
from supernet.attach import attach_cells


class AttentionSpace(ModelSpace):
    """A backbone whose blocks hold cells; all cells share one choice of an operator for every edge.

    `none`, which is never derived, is not among the choices.

    Args:
        backbone: Builds the plain network.
        space: What is searched.
    """

    def __init__(self, backbone: Callable[[], nn.Module], space: Space) -> None:
        super().__init__()

        def build(channels: int) -> Cell:
            edges = ChoiceEdges(space, group_width(channels, space.num_nodes))
            return Cell(channels, space.num_nodes, edges, space.fuse)

        self.network = attach_cells(backbone(), lambda site: build(site.channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class ChoiceEdges(nn.Module):
    """A choice among the operators on every edge.

    Args:
        space: The operators and edges.
        width: Channels of a group.
    """

    def __init__(self, space: Space, width: int) -> None:
        super().__init__()
        self.edges = space.edges
        self.operators = nn.ModuleDict(
            {
                edge_name(*edge): LayerChoice(
                    {key_of(name): OPERATORS[name].build_for_search(width) for name in space.candidates},
                    label=edge_name(*edge),
                )
                for edge in space.edges
            }
        )

    def forward(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        groups = state.groups()
        return [
            (node, self.operators[edge_name(node, j)](groups[node - 1 if source == 0 else 0].x))
            for node, j in self.edges
            if j == source
        ]


def key_of(operator: str) -> str:
    """What a choice calls an operator: names of modules have no dots and colons."""
    return operator.replace(":", "_").replace(".", "_")


def genotype_of(space: Space, sample: Mapping[str, Any]) -> Genotype:
    """The genotype of a sample that a strategy of `nni.nas` gives back.

    Args:
        space: What was searched.
        sample: Name of every edge to the operator chosen for it.
    """
    names = {key_of(name): name for name in space.candidates}
    return space.genotype([names[sample[edge_name(*edge)]] for edge in space.edges])
