"""A found cell as numbers: what the native operator reads instead of modules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import Cell, FoundEdges
from search_space.composed import (
    ChannelFactors,
    FullFactors,
    Layer,
    Passing,
    ScaledFactors,
    SpatialFactors,
    composed_form,
    fold,
)
from search_space.norm import OperatorNorm

ROWS = 8
"""Outputs of a 1x1 convolution whose weights lie side by side, `kMostRows` of cell.h; then 4, 2 and 1."""

FUSES = {"none": 0, "single": 1, "double": 2}


def native_program(cell: Cell) -> tuple[list[int], Float[Tensor, "weights"]] | None:
    """What the native operator reads of a cell; None where an edge has no form that it knows.

    The numbers are num_nodes, channels of a group, the fuse (0 for none, else its convolutions), hidden units
    of the groups' gate and of the output's, the number of edges, and for every edge, node by node, its node,
    source, kind, and what the kind has: hidden units and whether the maximum is read; number of layers; for
    each layer kernel size, dilation, and whether it is depthwise and 1x1. The weights lie in the order in
    which the operator reads them: the groups' gate, the edges, the fuse, the output's gate.

    Args:
        cell: In evaluation mode, with single operators on its edges.
    """
    assert isinstance(cell.edges, FoundEdges), "the edges of a supernet are mixtures"
    group_gate, output_gate = composed_form(cell.group_gate), composed_form(cell.output_gate)
    assert isinstance(group_gate, ChannelFactors)
    assert isinstance(output_gate, ChannelFactors)
    layers = [] if cell.fuse is None else list(_fuse(cell.fuse))
    width = len(group_gate.second)
    edges = sorted(
        (node, source, name) for source, readers in cell.edges.readers.items() for node, name in readers
    )
    numbers = [cell.num_nodes, width, len(layers), len(group_gate.first), len(output_gate.first), len(edges)]
    weights = list(_gate(group_gate))
    for node, source, name in edges:
        given = _edge(cell.edges.operators[name], width)
        if given is None:
            return None
        numbers += [node, source, *given[0]]
        weights += given[1]
    for layer in layers:
        weights += [packed(layer.kernel[:, :, 0, 0]), layer.bias]
    weights += _gate(output_gate)
    return numbers, torch.cat([weight.detach().flatten() for weight in weights])


def packed(matrix: Float[Tensor, "o i"]) -> Float[Tensor, "weights"]:
    """Blocks of outputs, in each the weights of one input side by side."""
    blocks, done = list[Tensor](), 0
    for rows in (ROWS, 4, 2, 1):
        while len(matrix) - done >= rows:
            blocks.append(matrix[done : done + rows].T.flatten())
            done += rows
    return torch.cat(blocks)


def _edge(operator: nn.Module, width: int) -> tuple[list[int], list[Tensor]] | None:
    """Numbers and weights of an edge."""
    form = composed_form(operator)
    match form:
        case Passing():
            return [0], []
        case ChannelFactors():
            return [1, len(form.first), int(form.reads_maximum)], list(_gate(form))
        case FullFactors():
            if any(layer.kernel.shape[:2] != (width, width) for layer in form.layers):
                return None
            return [2, *_shapes(form.layers)], _weights(form.layers)
        case SpatialFactors() if _is_spatial(form.layers):
            return [3, *_shapes(form.layers)], _weights(form.layers)
        case ScaledFactors() if _is_spatial(form.spatial.layers):
            gate = form.channel
            numbers = [4, len(gate.first), int(gate.reads_maximum), *_shapes(form.spatial.layers)]
            return numbers, [*_gate(gate), *_weights(form.spatial.layers)]
        case _:
            return None


def _is_spatial(layers: tuple[Layer, ...]) -> bool:
    """Whether two maps stay two until the last layer makes them one."""
    outputs = [2] * (len(layers) - 1) + [1]
    return [tuple(layer.kernel.shape[:2]) for layer in layers] == [(output, 2) for output in outputs]


def _gate(gate: ChannelFactors) -> Iterator[Tensor]:
    yield from (gate.first, gate.first_bias, gate.second, gate.second_bias)


def _shapes(layers: tuple[Layer, ...]) -> list[int]:
    numbers = [len(layers)]
    for layer in layers:
        numbers += [layer.kernel.shape[-1], layer.dilation, int(_is_separable(layer))]
    return numbers


def _is_separable(layer: Layer) -> bool:
    return layer.parts is not None and len(layer.kernel) > 2


def _weights(layers: tuple[Layer, ...]) -> list[Tensor]:
    weights = list[Tensor]()
    for layer in layers:
        if _is_separable(layer):
            assert layer.parts is not None
            depthwise, pointwise = layer.parts
            weights += [depthwise, packed(pointwise[:, :, 0, 0])]
        else:
            weights.append(layer.kernel)
        weights.append(layer.bias)
    return weights


def _fuse(fuse: nn.Sequential) -> Iterator[Layer]:
    """The convolutions of the fuse, each with the norm behind it."""
    modules = list(fuse)
    for module, after in pairwise(modules):
        if isinstance(module, nn.Conv2d):
            assert isinstance(after, OperatorNorm)
            yield fold(module, norm=after)
