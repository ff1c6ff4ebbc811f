"""Partial channels: a part of an edge's channels goes through the mixture, the rest passes by.

Source: Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search",
ICLR 2020, section 3.2 (arXiv:1907.05737).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from search_space.space import Space
from search_space.state import State
from supernet.mixed import Mixing


class PartialEdges(nn.Module):
    """Mixed edges of a part of the channels.

    Of c channels the first max(1, c // parts) go through the mixture; all others pass unchanged, times the
    sum of the edge's mixing weights, so that a weight of the whole edge scales both alike. Every edge puts
    the mixed channels last: the next reader's mixture sees those that passed.
    Differs from the source: at least one channel is mixed (edges of the first stage have 4 channels here, in
    a narrow network fewer), and channels are rotated where the public code shuffles them, for a shuffle of
    single channels would leave them where they are.

    Args:
        space: The primitives and edges.
        width: Channels of a group.
        mixing: Where the weights (edges, primitives) are read.
        parts: One part in so many is mixed.
        build: Mixed edges for a space, a width and a mixing.
    """

    def __init__(
        self,
        space: Space,
        width: int,
        mixing: Mixing,
        parts: int,
        build: Callable[[Space, int, Mixing], nn.Module],
    ) -> None:
        super().__init__()
        self.mixing = mixing
        self.rows = {edge: row for row, edge in enumerate(space.edges)}
        self.mixed_width = max(1, width // parts)
        self.edges = build(space, self.mixed_width, mixing)

    def forward(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        groups = [group.x for group in state.groups()]
        sizes = (self.mixed_width, groups[0].shape[1] - self.mixed_width)
        mixed, passing = zip(*(x.split(sizes, 1) for x in groups))
        totals = self.mixing.weights.sum(1)
        return [
            (
                node,
                torch.cat((passing[node - 1 if source == 0 else 0] * totals[self.rows[node, source]], y), 1),
            )
            for node, y in self.edges(source, State(torch.cat(mixed, 1), len(groups)))
        ]
