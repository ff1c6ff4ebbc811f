"""Mixed edges: every primitive on every edge, weighted. The plain form, which defines the function."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import edge_name
from search_space.operator import OPERATORS
from search_space.space import Space
from search_space.state import State


class Mixing:
    """The mixing weights of the present forward pass, shared by all cells of a supernet."""

    __slots__ = ("weights",)

    def __init__(self) -> None:
        self.weights: Tensor | None = None


class PlainMixedEdges(nn.Module):
    """Edge by edge, primitive by primitive: sum over o of w_o * o(x), nothing shared.

    Args:
        space: The primitives and edges.
        width: Channels of a group.
        mixing: Where the weights (edges, primitives) are read.
    """

    def __init__(self, space: Space, width: int, mixing: Mixing) -> None:
        super().__init__()
        self.mixing = mixing
        self.rows = {edge: row for row, edge in enumerate(space.edges)}
        self.operators = nn.ModuleDict(
            {
                edge_name(*edge): nn.ModuleList(
                    [OPERATORS[name].build_for_search(width) for name in space.primitives]
                )
                for edge in space.edges
            }
        )

    def forward(self, source: int, states: list[State]) -> list[tuple[int, Tensor]]:
        return [
            (node, self._mix((node, j), states[node - 1] if source == 0 else states[0]))
            for node, j in self.rows
            if j == source
        ]

    def _mix(self, edge: tuple[int, int], state: State) -> Float[Tensor, "b c h w"]:
        assert self.mixing.weights is not None, "a cell runs only inside its supernet"
        weights = self.mixing.weights[self.rows[edge]].unbind()
        operators = self.operators[edge_name(*edge)].children()
        terms: list[Tensor] = [weight * operator(state.x) for weight, operator in zip(weights, operators)]
        return sum(terms[1:], terms[0])
