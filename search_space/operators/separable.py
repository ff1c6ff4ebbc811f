"""Full gates, one factor a channel and position, from separable and dilated convolutions.

Source: the public AutoLA code, operations.py:5-19 (Ma et al., "Auto Learning Attention", NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.composed import FullFactors, composed, fold, folds
from search_space.grouped import Grouped, Mixture, grouped, norm, separable
from search_space.norm import OperatorNorm
from search_space.operator import Gate, operator
from search_space.state import State


@operator("sep_conv_3x3")
class SeparableGate(Gate):
    """x * sigmoid of two depthwise-separable 3x3 convolutions.

    depthwise 3x3, 1x1, BN, ReLU, depthwise 3x3, 1x1, BN, sigmoid.

    Args:
        channels: Channels of the input.
        affine: Whether the batch norms have weights; off in the supernet.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        c = channels
        self.depthwise1 = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.pointwise1 = nn.Conv2d(c, c, 1, bias=False)
        self.norm1 = OperatorNorm(c, affine=affine)
        self.depthwise2 = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.pointwise2 = nn.Conv2d(c, c, 1, bias=False)
        self.norm2 = OperatorNorm(c, affine=affine)

    def gate(self, state: State) -> Float[Tensor, "b c h w"]:
        y = self.norm1(self.pointwise1(self.depthwise1(state.x))).relu()
        return torch.sigmoid(self.norm2(self.pointwise2(self.depthwise2(y))))


@operator("dil_conv_3x3")
class DilatedGate(Gate):
    """x * sigmoid of one dilated depthwise-separable 3x3 convolution.

    depthwise 3x3 with dilation 2, 1x1, BN, sigmoid.

    Args:
        channels: Channels of the input.
        affine: Whether the batch norm has weights; off in the supernet.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        c = channels
        self.depthwise = nn.Conv2d(c, c, 3, padding=2, dilation=2, groups=c, bias=False)
        self.pointwise = nn.Conv2d(c, c, 1, bias=False)
        self.norm = OperatorNorm(c, affine=affine)

    def gate(self, state: State) -> Float[Tensor, "b c h w"]:
        return torch.sigmoid(self.norm(self.pointwise(self.depthwise(state.x))))


@grouped(SeparableGate)
class GroupedSeparableGate(Grouped[SeparableGate]):
    """Edges side by side in the channels."""

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Tensor],
    ) -> None:
        stack = self.stack
        y = norm(stack.norm1, separable(stack.depthwise1, stack.pointwise1, state.x)).relu_()
        y = norm(stack.norm2, separable(stack.depthwise2, stack.pointwise2, y))
        mixture.add_full_gate(y, weight)


@grouped(DilatedGate)
class GroupedDilatedGate(Grouped[DilatedGate]):
    """Edges side by side in the channels."""

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Tensor],
    ) -> None:
        stack = self.stack
        y = norm(stack.norm, separable(stack.depthwise, stack.pointwise, state.x))
        mixture.add_full_gate(y, weight)


@composed(SeparableGate)
def composed_separable(gate: SeparableGate) -> FullFactors:
    """Two 3x3 layers."""
    first = fold(gate.depthwise1, gate.pointwise1, norm=gate.norm1)
    return FullFactors((first, fold(gate.depthwise2, gate.pointwise2, norm=gate.norm2)))


@composed(DilatedGate)
def composed_dilated(gate: DilatedGate) -> FullFactors:
    """One dilated 3x3 layer."""
    return FullFactors((fold(gate.depthwise, gate.pointwise, norm=gate.norm),))


folds(SeparableGate, {"norm1": "pointwise1", "norm2": "pointwise2"})
folds(DilatedGate, {"norm": "pointwise"})
