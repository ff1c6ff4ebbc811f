"""SimAM: a gate for each neuron from how far it stands out of its map, without weights.

Source: Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks",
ICML 2021.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from foundation.errors import InputError
from search_space.operator import Gate, operator
from search_space.state import State


@operator("simam")
class SimAM(Gate):
    """Scales each value by how much it differs from the mean of its channel.

        x * sigmoid((x - mean)^2 / (4 (variance + regularization)) + 1/2)

    Mean and variance are of the channel's positions, the variance over their number less one as in the
    authors' code. Differs from the source: a map of one position has variance 0 instead of 0/0.

    Args:
        channels: Channels of the input; the gate itself has none of them.
        regularization: Keeps flat maps from dividing by zero: the source's lambda.

    Raises:
        InputError: If `regularization` is not positive.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(self, channels: int, *, regularization: float = 1e-4) -> None:
        super().__init__()
        if not regularization > 0:
            raise InputError(f"regularization={regularization} is not positive")
        self.regularization = regularization

    def gate(self, state: State) -> Float[Tensor, "b c h w"]:
        if state.x.dtype == torch.float16 or state.x.dtype == torch.bfloat16:
            # A sum of squares over the map overflows in half precision.
            return self.gate(state.like(state.x.float())).to(state.x.dtype)
        x = state.x
        apart = (x - state.spatial_mean[:, :, None, None]).square()
        variance = apart.sum((2, 3), keepdim=True) / max(1, x.shape[2] * x.shape[3] - 1)
        return torch.sigmoid(apart / (4 * (variance + self.regularization)) + 0.5)
