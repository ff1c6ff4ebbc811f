"""Spatial gates, one factor a position, from the maximum and mean over the channels.

Source: the public AutoLA code, operations.py:5-19 (Ma et al., "Auto Learning Attention", NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from search_space.composed import SpatialFactors, composed, fold, folds
from search_space.grouped import Grouped, Mixture, grouped, norm, separable
from search_space.norm import OperatorNorm
from search_space.operator import Gate, operator
from search_space.state import State


@operator("sep_conv_3x3_spatial")
class SeparableSpatialGate(Gate):
    """x * sigmoid of two separable 3x3 convolutions of the channel maximum and mean.

    depthwise 3x3, 1x1 (2 to 2), BN, ReLU, depthwise 3x3, 1x1 (2 to 1), BN, sigmoid.

    Args:
        channels: Channels of the input; the gate itself has none of them.
        affine: Whether the batch norms have weights; off in the supernet.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.depthwise1 = nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)
        self.pointwise1 = nn.Conv2d(2, 2, 1, bias=False)
        self.norm1 = OperatorNorm(2, affine=affine)
        self.depthwise2 = nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)
        self.pointwise2 = nn.Conv2d(2, 1, 1, bias=False)
        self.norm2 = OperatorNorm(1, affine=affine)

    def gate(self, state: State) -> Float[Tensor, "b 1 h w"]:
        y = self.norm1(self.pointwise1(self.depthwise1(state.channel_pool))).relu()
        return torch.sigmoid(self.norm2(self.pointwise2(self.depthwise2(y))))


@operator("dil_conv_3x3_spatial")
class DilatedSpatialGate(Gate):
    """x * sigmoid of a dilated 3x3 convolution of the channel maximum and mean.

    3x3 (2 to 1) with dilation 2, 1x1 (1 to 1), BN, sigmoid. The 1x1 scalar matters: the norm divides
    by sqrt(variance + eps).

    Args:
        channels: Channels of the input; the gate itself has none of them.
        affine: Whether the batch norm has weights; off in the supernet.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=2, dilation=2, bias=False)
        self.pointwise = nn.Conv2d(1, 1, 1, bias=False)
        self.norm = OperatorNorm(1, affine=affine)

    def gate(self, state: State) -> Float[Tensor, "b 1 h w"]:
        return torch.sigmoid(self.norm(self.pointwise(self.conv(state.channel_pool))))


@grouped(SeparableSpatialGate)
class GroupedSeparableSpatialGate(Grouped[SeparableSpatialGate]):
    """Edges side by side in the channels."""

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Tensor],
    ) -> None:
        stack = self.stack
        y = separable(stack.depthwise1, stack.pointwise1, state.channel_pool)
        y = norm(stack.norm1, y).relu_()
        y = norm(stack.norm2, separable(stack.depthwise2, stack.pointwise2, y))
        mixture.add_spatial_gate(y, weight[None, :, None])


@grouped(DilatedSpatialGate)
class GroupedDilatedSpatialGate(Grouped[DilatedSpatialGate]):
    """Edges side by side; the 1x1 scalar goes into the kernel before it."""

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Tensor],
    ) -> None:
        stack = self.stack
        kernel = (stack.conv.weight * stack.pointwise.weight).flatten(0, 1)
        y = F.conv2d(state.channel_pool, kernel, padding=2, dilation=2, groups=len(kernel))
        mixture.add_spatial_gate(norm(stack.norm, y), weight[None, :, None])


@composed(SeparableSpatialGate)
def composed_separable_spatial(gate: SeparableSpatialGate) -> SpatialFactors:
    """Two 3x3 layers."""
    first = fold(gate.depthwise1, gate.pointwise1, norm=gate.norm1)
    return SpatialFactors((first, fold(gate.depthwise2, gate.pointwise2, norm=gate.norm2)))


@composed(DilatedSpatialGate)
def composed_dilated_spatial(gate: DilatedSpatialGate) -> SpatialFactors:
    """One dilated 3x3 layer."""
    return SpatialFactors((fold(gate.conv, gate.pointwise, norm=gate.norm),))


folds(SeparableSpatialGate, {"norm1": "pointwise1", "norm2": "pointwise2"})
folds(DilatedSpatialGate, {"norm": "pointwise"})
