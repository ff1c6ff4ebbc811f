"""A cell that trains, computed from the native operator's numbers by PyTorch's own operators.

It is what the operator computes, and what second derivatives are taken of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from search_space.state import State, add_all


def explicit_cell(
    x: Float[Tensor, "b c h w"], weights: Float[Tensor, "weights"], program: Sequence[int], eps: float
) -> Float[Tensor, "b c h w"]:
    """The output of a cell whose norms take the statistics of the batch.

    Args:
        x: Maps.
        weights: As `search_space.native.training` lays them.
        program: As there.
        eps: What norms add to variances.
    """
    reader = _Reader(x, weights, program, eps)
    y = reader.cell()
    assert next(reader.numbers, None) is None, "the program is longer than the cell"
    assert reader.taken == len(weights), "there are more weights than the cell has"
    return y


class _Reader:
    """Takes numbers and weights in the order in which they are written."""

    def __init__(self, x: Tensor, weights: Tensor, program: Sequence[int], eps: float) -> None:
        self.x, self.weights, self.eps = x, weights, eps
        self.numbers: Iterator[int] = iter(program)
        self.taken = 0

    def cell(self) -> Tensor:
        num_nodes, width, fuse, gate_hidden, output_hidden, num_edges = (next(self.numbers) for _ in range(6))
        x, channels = self.x, num_nodes * width
        groups = x.split(width, 1)
        summed = add_all(groups)
        pooled = summed * self.channel_gate(State(summed), gate_hidden)
        nodes: list[Tensor | None] = [None] * (num_nodes + 1)
        for _ in range(num_edges):
            node, source = next(self.numbers), next(self.numbers)
            given = groups[node - 1] if source == 0 else nodes[source]
            assert given is not None, f"no edge reaches node h{source}"
            so_far, features = nodes[node], self.edge(given)
            nodes[node] = features if so_far is None else so_far + features
        outputs = [node for node in nodes[1:] if node is not None]
        if fuse:
            y = torch.cat((*outputs, pooled), 1)
            for number in range(fuse):
                y = y.relu() if number else y
                y = self.norm(F.conv2d(y, self.take(channels, y.shape[1], 1, 1)))
        else:
            y = torch.cat([node + pooled for node in outputs], 1)
        y = y + x
        return y * self.channel_gate(State(y), output_hidden)

    def edge(self, x: Tensor) -> Tensor:
        kind, state = next(self.numbers), State(x)
        if kind == 0:
            return x
        if kind in (1, 4):
            hidden, reads_maximum = next(self.numbers), bool(next(self.numbers))
            x = x * self.channel_gate(state, hidden, reads_maximum=reads_maximum)
            if kind == 1:
                return x
            state = State(x)
        y = x if kind == 2 else state.channel_pool
        num_layers = next(self.numbers)
        shapes = [(next(self.numbers), next(self.numbers), next(self.numbers)) for _ in range(num_layers)]
        for number, (kernel, dilation, is_separable) in enumerate(shapes):
            y = y.relu() if number else y
            inputs = y.shape[1]
            outputs = 1 if kind != 2 and number == num_layers - 1 else inputs
            padding = dilation * (kernel // 2)
            if is_separable:
                depthwise = self.take(inputs, 1, kernel, kernel)
                y = F.conv2d(y, depthwise, padding=padding, dilation=dilation, groups=inputs)
                y = F.conv2d(y, self.take(outputs, inputs, 1, 1))
            else:
                dense = self.take(outputs, inputs, kernel, kernel)
                y = F.conv2d(y, dense, padding=padding, dilation=dilation)
            y = self.norm(y)
        return x * torch.sigmoid(y)

    def channel_gate(self, state: State, hidden: int, *, reads_maximum: bool = False) -> Tensor:
        channels = state.x.shape[1]
        first, first_bias = self.take(hidden, channels), self.take(hidden)
        second, second_bias = self.take(channels, hidden), self.take(channels)
        pools = [state.spatial_mean, state.spatial_max] if reads_maximum else [state.spatial_mean]
        layers = [F.linear(F.linear(pool, first, first_bias).relu(), second, second_bias) for pool in pools]
        return torch.sigmoid(torch.stack(layers).sum(0))[:, :, None, None]

    def norm(self, x: Tensor) -> Tensor:
        scale, shift = self.take(x.shape[1]), self.take(x.shape[1])
        return F.batch_norm(x, None, None, scale, shift, training=True, eps=self.eps)

    def take(self, *shape: int) -> Tensor:
        number = torch.Size(shape).numel()
        self.taken += number
        return self.weights[self.taken - number : self.taken].view(shape)
