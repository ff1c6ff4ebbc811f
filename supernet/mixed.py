"""Mixed edges: every primitive on every edge, weighted. The plain form, which defines the function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import edge_name
from search_space.operator import OPERATORS, read
from search_space.space import Space
from search_space.state import State, add_all


class Mixing:
    """The mixing weights of the present forward pass, shared by all cells of a supernet."""

    __slots__ = ("_columns", "_weights", "chosen")

    def __init__(self) -> None:
        self._weights: Tensor | None = None
        self._columns: dict[tuple[int, ...], tuple[Tensor, ...]] = {}
        self.chosen: Sequence[int] | None = None
        """For every edge, the column that alone is computed; None where all are."""

    def select(self, rows: tuple[int, ...]) -> None:
        """Announces some edges, whose weights are then selected once a forward pass, for all cells."""
        self._columns[rows] = ()

    def set(
        self, weights: Float[Tensor, "edges primitives"] | None, chosen: Sequence[int] | None = None
    ) -> None:
        """Starts a forward pass with these weights, or ends it with None."""
        self._weights, self.chosen = weights, chosen
        whole = None if chosen is not None else weights
        for rows in self._columns:
            self._columns[rows] = () if whole is None else whole[list(rows)].unbind(1)

    @property
    def is_set(self) -> bool:
        """Whether a forward pass has begun."""
        return self._weights is not None

    def snapshot(self) -> tuple[Any, ...]:
        """The weights of now, for `restore`."""
        return self._weights, dict(self._columns), self.chosen

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Goes back to weights that were set before."""
        self._weights, self._columns, self.chosen = snapshot

    @property
    def weights(self) -> Float[Tensor, "edges primitives"]:
        """The mixing weights, one row for each edge and one column for each primitive."""
        assert self._weights is not None, "a cell runs only inside its supernet"
        return self._weights

    def columns(self, rows: tuple[int, ...]) -> tuple[Float[Tensor, "rows"], ...]:
        """Weights of every primitive on some edges, which were announced by `select`."""
        assert len(self._columns[rows]) > 0, "a cell runs only inside its supernet"
        return self._columns[rows]


class SeparateState(State):
    """A state whose statistics are computed the textbook way, as the public code does."""

    __slots__ = ()

    @property
    def channel_pool(self) -> Float[Tensor, "b 2 h w"]:
        # max(dim) sends its gradient to one index; amax would spread it over ties.
        return torch.cat((self.x.max(1, keepdim=True).values, self.x.mean(1, keepdim=True)), 1)

    @property
    def spatial_mean(self) -> Float[Tensor, "b c"]:
        return self.x.mean((2, 3))

    @property
    def spatial_max(self) -> Float[Tensor, "b c"]:
        return self.x.flatten(2).max(2).values


class MixedEdges(nn.Module):
    """Edges that mix all primitives of a space, in one form or another.

    Args:
        mixing: Where the weights (edges, primitives) are read.
    """

    def __init__(self, mixing: Mixing) -> None:
        super().__init__()
        self.mixing = mixing


class PlainMixedEdges(MixedEdges):
    """Edge by edge, primitive by primitive: sum over o of w_o * o(x), nothing shared.

    Args:
        space: The primitives and edges.
        width: Channels of a group.
        mixing: Where the weights (edges, primitives) are read.
    """

    def __init__(self, space: Space, width: int, mixing: Mixing) -> None:
        super().__init__(mixing)
        self.rows = {edge: row for row, edge in enumerate(space.edges)}
        self.operators = nn.ModuleDict(
            {
                edge_name(*edge): nn.ModuleList(
                    [OPERATORS[name].build_for_search(width) for name in space.primitives]
                )
                for edge in space.edges
            }
        )

    def forward(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        groups = state.groups()
        return [
            (node, self._mix((node, j), groups[node - 1 if source == 0 else 0].x))
            for node, j in self.rows
            if j == source
        ]

    def _mix(self, edge: tuple[int, int], x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        row = self.rows[edge]
        weights = self.mixing.weights[row].unbind()
        operators = list(self.operators[edge_name(*edge)].children())
        if self.mixing.chosen is not None:
            column = self.mixing.chosen[row]
            return weights[column] * read(operators[column], SeparateState(x))
        terms = [weight * read(operator, SeparateState(x)) for weight, operator in zip(weights, operators)]
        return add_all(terms)
