"""Channel attention followed by spatial attention: CBAM.

Source: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018 (arXiv:1807.06521).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space import kernels
from search_space.composed import ChannelFactors, ScaledFactors, SpatialFactors, composed, fold, folds
from search_space.grouped import Grouped, Mixture, grouped, norm
from search_space.layout import in_channels_last
from search_space.norm import OperatorNorm
from search_space.operator import Gate, operator
from search_space.operators.squeeze_excite import AverageMaxExcite, SqueezeExcite, composed_excite
from search_space.state import State

Form = Literal["full", "maxpool", "spatial"]


class SpatialGate(Gate):
    """Scales each position by a gate computed from the maximum and mean over its channels.

    x * sigmoid(BN(conv 7x7([max; mean]))), the momentum of the norm 0.01 as in the authors' code.

    Args:
        mean_only: Whether the convolution reads the mean alone.
    """

    def __init__(self, mean_only: bool = False) -> None:
        super().__init__()
        self.mean_only = mean_only
        self.conv = nn.Conv2d(1 if mean_only else 2, 1, 7, padding=3, bias=False)
        self.norm = OperatorNorm(1, momentum=0.01)

    def gate(self, state: State) -> Float[Tensor, "b 1 h w"]:
        pooled = state.x.mean(1, keepdim=True) if self.mean_only else state.channel_pool
        return torch.sigmoid(self.norm(self.conv(pooled)))


@operator("cbam")
@operator("CBAM", reduction=4)
class CBAM(Gate):
    """Scales channels, then positions of the scaled map.

    y = x * channel(x), out = y * spatial(y); the channel gate is an MLP with biases shared by mean and
    maximum. `CBAM` is the primitive of the public AutoLA space (reduction 4).
    Two forms cost less, those of Zhu et al., "An Attention Module for Convolutional Neural Networks", ICANN
    2021: `cbam[maxpool]` has no spatial gate, and `cbam[spatial]` has no maximum in either gate, so that its
    spatial gate reads the mean over the channels alone.
    Differs from the source: the hidden layer has at least one unit; weights start as PyTorch's defaults
    (the authors' code starts the norm's weight at 0).

    Args:
        channels: Channels of the input.
        reduction: Ratio of input channels to hidden units.
        form: Whole, or one of the two that cost less.

    Raises:
        InputError: If `reduction` is not positive.
    """

    def __init__(self, channels: int, *, reduction: int = 16, form: Form = "full") -> None:
        super().__init__()
        pooled = SqueezeExcite if form == "spatial" else AverageMaxExcite
        self.channel = pooled(channels, reduction=reduction, bias=True)
        self.spatial = None if form == "maxpool" else SpatialGate(mean_only=form == "spatial")

    def gate(self, state: State) -> Float[Tensor, "b c h_or_1 w_or_1"]:
        channel = self.channel.gate(state)
        if self.spatial is None:
            return channel
        return channel * self.spatial.gate(state.like(state.x * channel))

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        scaled = self.channel.read(state)
        return scaled if self.spatial is None else self.spatial.read(state.like(scaled))


@grouped(CBAM)
class GroupedCBAM(Grouped[CBAM]):
    """A channel gate and a spatial gate of the scaled map, for every edge."""

    def channel_mlps(self) -> Sequence[nn.Module]:
        return (self.stack.channel,)

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Float[Tensor, "b edges c"]],
    ) -> None:
        channel = channel_gates[0]
        pool = kernels.pool_channels(state.planes, channel)
        pool = pool.unflatten(-1, state.x.shape[2:]).flatten(1, 2)
        pool = in_channels_last(pool)
        spatial = self.stack.spatial
        assert isinstance(spatial, SpatialGate), "the grouped form is that of the whole module"
        # Depthwise 7x7, then maximum + mean: seven times as fast on the CPU as 7x7 from two channels to one.
        kernel = spatial.conv.weight.view(-1, 1, 7, 7)
        y = kernels.separable(pool, kernel, kernel.new_ones(mixture.num_edges, 2, 1, 1))
        mixture.add_spatial_gate(norm(spatial.norm, y), weight[None, :, None] * channel)


@composed(CBAM)
def composed_cbam(gate: CBAM) -> ChannelFactors | ScaledFactors:
    """A channel gate, and one 7x7 layer on what it has scaled."""
    channel = composed_excite(gate.channel)
    if gate.spatial is None:
        return channel
    layer = fold(gate.spatial.conv, norm=gate.spatial.norm)
    if gate.spatial.mean_only:
        layer = replace(layer, kernel=torch.cat((torch.zeros_like(layer.kernel), layer.kernel), 1))
    return ScaledFactors(channel, SpatialFactors((layer,)))


folds(SpatialGate, {"norm": "conv"})
