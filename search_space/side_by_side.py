"""Composed operators that read one state, run side by side as few large operators of torch's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from search_space.composed import ChannelFactors, FullFactors, Layer, ScaledFactors, SpatialFactors
from search_space.layout import is_channels_last

Form = Literal["composed", "wide", "separable", "alone"]
"""How layers that read channels run: as dense convolutions, those of one channel group together; as one dense
convolution over the state, with zeros where a layer does not read; as the depthwise and 1x1 convolutions that
they are made of, in groups, a group an edge; or as these, every edge alone. All are the same function."""

Groups = Sequence[Float[Tensor, "b c h w"]]

Products = list[tuple[Tensor, Tensor]]
"""For every edge two maps whose product is what the edge gives; the second broadcasts."""


class ChannelGates(nn.Module):
    """All channel gates of a state: the pools once, then two linear layers for all.

    Args:
        width: Channels of a group.
        num_groups: Groups of the state.
        gates: For every gate the groups whose sum it reads, and what it is. One that reads the maximum reads
            one group.
    """

    def __init__(
        self, width: int, num_groups: int, gates: Sequence[tuple[Sequence[int], ChannelFactors]]
    ) -> None:
        super().__init__()
        channels = width * num_groups
        self.reads_maximum = any(gate.reads_maximum for _, gate in gates)
        columns = channels * 2 if self.reads_maximum else channels
        rows, second_parts, biases = list[Tensor](), list[Tensor](), list[Tensor]()
        for groups, gate in gates:
            assert len(groups) == 1 or not gate.reads_maximum, "the maximum of a sum is no sum of maxima"
            hidden = len(gate.first)
            for pool in range(2 if gate.reads_maximum else 1):
                row = gate.first.new_zeros(hidden, columns)
                for group in groups:
                    start = pool * channels + group * width
                    row[:, start : start + width] = gate.first
                rows.append(row)
                biases.append(gate.first_bias)
            times = 2 if gate.reads_maximum else 1
            second_parts.append(torch.cat([gate.second] * times, 1))
        self.first = _linear(torch.cat(rows), torch.cat(biases))
        second_bias = [gate.second_bias * (2 if gate.reads_maximum else 1) for _, gate in gates]
        self.second = _linear(torch.block_diag(*second_parts), torch.cat(second_bias))
        self.widths = [len(gate.second) for _, gate in gates]

    def forward(self, x: Float[Tensor, "b channels h w"]) -> Sequence[Float[Tensor, "b _ 1 1"]]:
        pooled = x.mean((2, 3))
        if self.reads_maximum:
            # On channels-last maps of few channels `amax` is many times slower than the pooling kernel.
            maximum = F.adaptive_max_pool2d(x, 1).flatten(1) if is_channels_last(x) else x.amax((2, 3))
            pooled = torch.cat((pooled, maximum), 1)
        gates = torch.sigmoid(self.second(self.first(pooled).relu()))[:, :, None, None]
        return (gates,) if len(self.widths) == 1 else gates.split(self.widths, 1)


class FullGates(nn.Module):
    """All full gates of a state whose layers have the same shapes.

    Args:
        width: Channels of a group.
        num_groups: Groups of the state.
        edges: For every edge the group that it reads, and its gate.
        form: How the layers run.
    """

    def __init__(
        self, width: int, num_groups: int, edges: Sequence[tuple[int, FullFactors]], form: Form
    ) -> None:
        super().__init__()
        self.width = width
        self.groups = [group for group, _ in edges]
        one_group = len(set(self.groups)) == 1
        self.reads_all = form == "wide" and not one_group
        self.reads_one = form in ("composed", "wide") and one_group
        assert self.reads_all or self.reads_one or form != "composed", "a dense convolution reads one group"
        layers = list[nn.Module]()
        for number in range(len(edges[0][1].layers)):
            column = [gate.layers[number] for _, gate in edges]
            if number:
                layers.append(nn.ReLU())
            if form in ("separable", "alone"):
                layers += separable(column)
            elif form == "composed" and number and len(column) > 1:
                layers.append(Apart(column))
            elif number or one_group:
                reads = blocks(column) if number else [range(width)] * len(column)
                layers.append(dense(column, reads, reads[-1].stop if number else width))
            else:
                reads = [range(group * width, (group + 1) * width) for group in self.groups]
                layers.append(dense(column, reads, width * num_groups))
        self.layers = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, x: Float[Tensor, "b channels h w"], groups: Groups) -> Products:
        if self.reads_all:
            given = x
        elif self.reads_one:
            given = groups[self.groups[0]]
        else:
            given = _gathered(x, groups, self.groups)
        factors = self.layers(given)
        parts = (factors,) if len(self.groups) == 1 else factors.split(self.width, 1)
        return [(groups[group], part) for group, part in zip(self.groups, parts)]


class Apart(nn.Module):
    """Layers side by side, each on its own channels by a convolution of its own.

    Small maps run them faster so than as one convolution in groups, or as one with zeros.
    """

    def __init__(self, column: Sequence[Layer]) -> None:
        super().__init__()
        self.width = column[0].kernel.shape[1]
        self.convolutions = nn.ModuleList(dense([layer], [range(self.width)], self.width) for layer in column)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c_out h w"]:
        parts = x.split(self.width, 1)
        return torch.cat([conv(part) for conv, part in zip(self.convolutions, parts)], 1)


BLOCK = 4
"""Positions along a side of a block."""


class Blocked(nn.Module):
    """A convolution of few channels and a large kernel, on blocks of 4 x 4 positions as channels.

    The kernel of the blocks is 3x3 and has many channels, which runs faster though it holds zeros.

    Args:
        layer: Its kernel reaches no further than a block.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        o, i, k, _ = layer.kernel.shape
        assert layer.dilation == 1
        assert k // 2 <= BLOCK
        kernel = layer.kernel.new_zeros(o, BLOCK, BLOCK, i, BLOCK, BLOCK, 3, 3)
        for a, b, c, d, y, x in product(*[range(BLOCK)] * 4, range(3), range(3)):
            row, column = ((n - 1) * BLOCK + to - at + k // 2 for n, to, at in ((y, c, a), (x, d, b)))
            if 0 <= row < k and 0 <= column < k:
                kernel[:, a, b, :, c, d, y, x] = layer.kernel[:, :, row, column]
        kernel = kernel.flatten(3, 5).flatten(0, 2)
        self.conv = as_convolution(kernel, layer.bias.repeat_interleave(BLOCK**2))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c_out h w"]:
        h, w = x.shape[2:]
        if h % BLOCK or w % BLOCK:
            x = F.pad(x, (0, -w % BLOCK, 0, -h % BLOCK))
        y = F.pixel_shuffle(self.conv(F.pixel_unshuffle(x, BLOCK)), BLOCK)
        return y[:, :, :h, :w] if h % BLOCK or w % BLOCK else y


class SpatialGates(nn.Module):
    """All spatial gates of a state whose layers have the same shapes.

    Args:
        edges: For every edge the place, among the pooled groups, of the one that it reads, and its gate.
        num_pooled: How many groups are pooled.
    """

    def __init__(self, edges: Sequence[tuple[int, SpatialFactors]], num_pooled: int) -> None:
        super().__init__()
        layers = list[nn.Module]()
        for number in range(len(edges[0][1].layers)):
            column = [gate.layers[number] for _, gate in edges]
            if number:
                layers.append(nn.ReLU())
                reads = blocks(column)
                layers.append(dense(column, reads, reads[-1].stop))
            else:
                pairs = [(place, num_pooled + place) for place, _ in edges]
                layers.append(dense(column, pairs, 2 * num_pooled))
        self.layers = nn.Sequential(*layers, nn.Sigmoid())
        self.num_edges = len(edges)

    def forward(self, pools: Float[Tensor, "b pools h w"]) -> Sequence[Float[Tensor, "b 1 h w"]]:
        maps = self.layers(pools)
        return (maps,) if self.num_edges == 1 else maps.split(1, 1)


class ScaledGates(nn.Module):
    """All spatial gates of a state that read maps which channel gates have scaled.

    Args:
        width: Channels of a group.
        edges: For every edge the group that it reads, and its gate.
        form: Whether several edges have one dense convolution ("composed", "wide") or one in groups.
    """

    def __init__(self, width: int, edges: Sequence[tuple[int, ScaledFactors]], form: Form) -> None:
        super().__init__()
        self.width = width
        self.groups = [group for group, _ in edges]
        column = [gate.spatial.layers[0] for _, gate in edges]
        if len(column) == 1:
            conv = Blocked(column[0])
        elif form in ("composed", "wide"):
            conv = dense(column, [(2 * n, 2 * n + 1) for n in range(len(edges))], 2 * len(edges))
        else:
            conv = in_groups(column)
        self.layers = nn.Sequential(conv, nn.Sigmoid())

    def forward(self, groups: Groups, gates: Sequence[Float[Tensor, "b _ 1 1"]]) -> Products:
        scaled = [groups[group] * gate for group, gate in zip(self.groups, gates)]
        pools = [pool for x in scaled for pool in (x.amax(1, keepdim=True), x.mean(1, keepdim=True))]
        maps = self.layers(torch.cat(pools, 1))
        return list(zip(scaled, (maps,) if len(scaled) == 1 else maps.split(1, 1)))


def channel_pools(
    x: Float[Tensor, "b channels h w"], groups: Groups, chosen: Sequence[int]
) -> Float[Tensor, "b pools h w"]:
    """The maximum over the channels of each chosen group, then the mean of each."""
    if len(chosen) == 1:
        x, shape = groups[chosen[0]], (1, -1)
    else:
        assert len(chosen) == len(groups), "one group is pooled, or all"
        shape = (len(groups), -1)
    if shape[0] == 1:
        return torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)
    by_group = x.unflatten(1, shape)
    return torch.cat((by_group.amax(2), by_group.mean(2)), 1)


def _gathered(x: Tensor, groups: Groups, chosen: Sequence[int]) -> Tensor:
    """Chosen groups side by side; a view of the state where they lie so."""
    if list(chosen) == list(range(len(groups))):
        return x
    return groups[chosen[0]] if len(chosen) == 1 else torch.cat([groups[group] for group in chosen], 1)


def blocks(column: Sequence[Layer]) -> list[range]:
    """The channels that layers read which lie on a diagonal."""
    width = column[0].kernel.shape[1]
    return [range(number * width, (number + 1) * width) for number in range(len(column))]


def dense(column: Sequence[Layer], reads: Sequence[Sequence[int]], channels: int) -> nn.Conv2d:
    """Layers as one convolution over a number of channels; zeros where a layer does not read."""
    outputs, _, k, _ = column[0].kernel.shape
    kernel = column[0].kernel.new_zeros(outputs * len(column), channels, k, k)
    for number, (layer, read) in enumerate(zip(column, reads)):
        kernel[number * outputs : (number + 1) * outputs, list(read)] = layer.kernel
    return as_convolution(kernel, torch.cat([layer.bias for layer in column]), column[0].dilation)


def in_groups(column: Sequence[Layer]) -> nn.Conv2d:
    """Layers as one convolution in groups."""
    kernel = torch.cat([layer.kernel for layer in column])
    return as_convolution(
        kernel, torch.cat([layer.bias for layer in column]), column[0].dilation, groups=len(column)
    )


def separable(column: Sequence[Layer]) -> list[nn.Module]:
    """Layers as a depthwise convolution and one in groups; those without parts as one in groups."""
    parts = [layer.parts for layer in column if layer.parts is not None]
    if len(parts) < len(column):
        return [in_groups(column)]
    depthwise = torch.cat([first for first, _ in parts])
    pointwise = torch.cat([second for _, second in parts])
    return [
        as_convolution(depthwise, None, column[0].dilation, groups=len(depthwise)),
        as_convolution(pointwise, torch.cat([layer.bias for layer in column]), groups=len(column)),
    ]


def as_convolution(
    kernel: Float[Tensor, "o i k k"], bias: Float[Tensor, "o"] | None, dilation: int = 1, *, groups: int = 1
) -> nn.Conv2d:
    """A convolution that keeps the size of the map, with these weights."""
    outputs, inputs, k, _ = kernel.shape
    padding = dilation * (k // 2)
    conv = nn.Conv2d(
        inputs * groups,
        outputs,
        k,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    conv.weight = nn.Parameter(kernel.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def _linear(weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"]) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer
