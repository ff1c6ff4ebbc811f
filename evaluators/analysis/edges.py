"""What each edge of a cell contributes: the network without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_space.cell import FoundEdges
from supernet.attach import attached


@dataclass(frozen=True, kw_only=True)
class CellEdge:
    """An edge of the cell that stands at several sites of a network.

    Attributes:
        attention: The attention in the grammar, as `attached` says it.
        source: The state that it reads: "x2" or "h1".
        node: The node that it adds to: "h2".
        operator: Name of what is on it, as far as its class says.
    """

    attention: str
    source: str
    node: str
    operator: str

    @property
    def name(self) -> str:
        """The edge in words."""
        return f"{self.source} to {self.node}"


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def cell_edges(network: nn.Module) -> list[CellEdge]:
    """The edges of all cells in a network, those of equal cells once; none without cells."""
    found = dict[tuple[str, str, str], CellEdge]()
    for text, edges in _cells(network):
        for name, operator in edges.operators.items():
            source, node = name.split("_")
            edge = CellEdge(attention=text, source=source, node=node, operator=type(operator).__name__)
            found.setdefault((text, source, node), edge)
    return list(found.values())


@contextmanager
def without_edge(network: nn.Module, edge: CellEdge) -> Iterator[None]:
    """Has an edge add nothing, in all cells of its attention; what follows it is as it was trained."""
    name = f"{edge.source}_{edge.node}"
    changed = [edges for text, edges in _cells(network) if text == edge.attention and name in edges.operators]
    kept = [edges.operators[name] for edges in changed]
    for edges in changed:
        edges.operators[name] = _Nothing()
    try:
        yield
    finally:
        for edges, operator in zip(changed, kept):
            edges.operators[name] = operator


def _cells(network: nn.Module) -> list[tuple[str, FoundEdges]]:
    return [
        (place.attention, module)
        for place in attached(network)
        for module in place.module.modules()
        if isinstance(module, FoundEdges)
    ]
