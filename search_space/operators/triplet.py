"""Triplet attention: a spatial gate on each of the three planes of a feature map.

Source: Misra et al., "Rotate to Attend: Convolutional Triplet Attention Module", WACV 2021
(arXiv:2010.03045).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.composed import folds
from search_space.norm import OperatorNorm
from search_space.operator import Gate, operator
from search_space.state import State


@operator("triplet")
class TripletAttention(Gate):
    """The mean of three gated maps, each gated over two of channel, height and width.

        x * (g(C, W) + g(H, C) + g(H, W)) / 3,  g = sigmoid(BN(conv 7x7([max; mean] over the third)))

    The first two see a plane with the channels as one side, so their number may be any.
    The momentum of the norms is 0.01, as in the authors' code.

    Args:
        channels: Channels of the input; the gates themselves have none of them.
        affine: Whether the batch norms have weights; off in the supernet.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.channel_width = _plane(affine)
        self.height_channel = _plane(affine)
        self.height_width = _plane(affine)

    def gate(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        over_height = torch.sigmoid(self.channel_width(_pooled(x, 2)))  # b 1 c w
        over_width = torch.sigmoid(self.height_channel(_pooled(x, 3).mT))  # b 1 h c
        over_channels = torch.sigmoid(self.height_width(state.channel_pool))  # b 1 h w
        return (over_height.transpose(1, 2) + over_width.permute(0, 3, 2, 1) + over_channels) / 3


def _plane(affine: bool) -> nn.Sequential:
    conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
    return nn.Sequential(conv, OperatorNorm(1, momentum=0.01, affine=affine))


def _pooled(x: Float[Tensor, "b c h w"], axis: int) -> Float[Tensor, "b 2 c side"]:
    """Maximum and mean over height (2) or width (3)."""
    return torch.stack((x.max(axis).values, x.mean(axis)), 1)


PLANES = ("channel_width", "height_channel", "height_width")

folds(TripletAttention, {f"{plane}.1": f"{plane}.0" for plane in PLANES})
