"""The HOGA cell: its topology, written once, for the network searched and the network found.

Source: Ma et al., "Auto Learning Attention", NeurIPS 2020, as the public code computes it
(attention_resnet.py:14-90, commit 49c1e57).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.genotype import Fuse
from search_space.norm import OperatorNorm
from search_space.operator import Operator, read
from search_space.operators.squeeze_excite import SqueezeExcite
from search_space.state import State, add_all

REDUCTION = 8
"""Reduction of the cell's own two channel gates: the public evaluation network's, in search as well."""


class Edges(Protocol):
    """What sits on the edges of a cell: mixtures in a supernet, single operators in a found module."""

    def __call__(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        """Runs all edges that read one source.

        Args:
            source: 0 for the channel groups, of which node h_i reads the i-th; j >= 1 for node h_j.
            state: The num_nodes channel groups side by side for source 0; node h_j alone otherwise.

        Returns:
            Pairs (number of the node, from 1; features to add to it).
        """
        ...


class Joint(nn.Sequential):
    """The fuse of a cell, whose name libraries take for a method without arguments that folds norms."""

    def forward(self, input: Float[Tensor, "b joined h w"] | None = None) -> Float[Tensor, "b c h w"]:
        if input is None:
            raise InputError(
                "what folds a network took the fuse of a HOGA cell for a method of its own; fold the network "
                "before attaching, or autola.detach first"
            )
        return super().forward(input)


class Cell(Operator):
    """High-Order Group Attention: channel groups are nodes, attention operators are edges.

    The input splits into k groups x_1 ... x_k of c channels. h_i is the sum of its edges, which read x_i
    and h_1 ... h_{i-1}. With s = SE(x_1 + ... + x_k):

        y = fuse([h_1, ..., h_k, s]) + x
        out = SE(y)

    The fuse "double" is 1x1, BN, ReLU, 1x1, BN (the paper's), "single" 1x1, BN; "none" is
    [h_1 + s, ..., h_k + s] and has no weights. The last two are ours.
    Differs from the source: the reduction of both SE gates is 8 in search as in evaluation (the public
    search network has 4 and 16), and a gate has at least one hidden unit (the public one has none at 16
    channels).

    Args:
        channels: Channels of the input.
        num_nodes: Number of channel groups k.
        edges: What sits on the edges.
        fuse: How the nodes are joined.

    Raises:
        InputError: If the channels do not split into equal groups.
    """

    place = "inner"

    def __init__(self, channels: int, num_nodes: int, edges: nn.Module, fuse: Fuse) -> None:
        super().__init__()
        self.num_nodes = num_nodes
        self.edges = edges
        width = group_width(channels, num_nodes)
        self.group_gate = SqueezeExcite(width, reduction=REDUCTION, bias=False)
        joined = channels + width
        self.fuse: Joint | None = None
        if fuse != "none":
            self.fuse = Joint(nn.Conv2d(joined, channels, 1, bias=False), OperatorNorm(channels))
        if self.fuse is not None and fuse == "double":
            self.fuse.append(nn.ReLU(inplace=True))
            self.fuse.append(nn.Conv2d(channels, channels, 1, bias=False))
            self.fuse.append(OperatorNorm(channels))
        self.output_gate = SqueezeExcite(channels, reduction=REDUCTION, bias=False)

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        nodes: list[Tensor | None] = [None] * (self.num_nodes + 1)
        reading = State(state.x, self.num_nodes)
        for source in range(self.num_nodes):
            for node, features in self.edges(source, reading):
                so_far = nodes[node]
                nodes[node] = features if so_far is None else so_far + features
            complete = nodes[source + 1]
            assert complete is not None, f"no edge reaches node h{source + 1}"
            reading = State(complete)
        outputs = [node for node in nodes[1:] if node is not None]
        pooled = self.group_gate(add_all(state.x.chunk(self.num_nodes, 1)))
        if self.fuse is None:
            fused = torch.cat([node + pooled for node in outputs], 1)
        else:
            fused = self.fuse(torch.cat((*outputs, pooled), 1))
        return self.output_gate(fused + state.x)


class FoundEdges(nn.Module):
    """The operators that were found, one an edge; readers of one state share its statistics.

    Args:
        edges: For every edge, the number of its node, from 1, the index of the state that it reads, 0 for the
            node's own channel group, and its operator.
    """

    def __init__(self, edges: Sequence[tuple[int, int, nn.Module]]) -> None:
        super().__init__()
        self.operators = nn.ModuleDict()
        self.readers: dict[int, list[tuple[int, str]]] = {}
        for node, source, operator in edges:
            name = edge_name(node, source)
            self.operators[name] = operator
            self.readers.setdefault(source, []).append((node, name))

    def forward(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        groups = state.groups()
        return [
            (node, read(self.operators[name], groups[node - 1] if source == 0 else state))
            for node, name in self.readers.get(source, [])
        ]


def group_width(channels: int, num_nodes: int) -> int:
    """Channels of a group.

    Raises:
        InputError: If the channels do not split into equal groups.
    """
    if channels < 1 or channels % num_nodes:
        divisors = [n for n in range(1, min(channels, 64) + 1) if channels % n == 0]
        raise InputError(
            f"{channels} channels do not split into {num_nodes} equal groups; "
            f"take a width that gives a multiple of {num_nodes}, or a num_nodes among "
            f"{', '.join(map(str, divisors))}"
        )
    return channels // num_nodes


def edge_name(node: int, source: int) -> str:
    """Name of an edge in state dicts: "x2_h2" from group x2, "h1_h2" from node h1, into node h2."""
    return f"h{source}_h{node}" if source else f"x{node}_h{node}"
