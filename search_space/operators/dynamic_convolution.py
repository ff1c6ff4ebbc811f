"""Dynamic convolution: every position weighs its neighbours by a softmax that it computes itself.

Source: Wu et al., "Pay Less Attention with Lightweight and Dynamic Convolutions", ICLR 2019
(arXiv:1901.10430), as an attended residual block of Zhu et al., "An Empirical Study of Spatial Attention
Mechanisms in Deep Networks", ICCV 2019 (arXiv:1904.05873).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import Operator, Place, heads_of, operator
from search_space.state import State


@operator("dynamic")
class DynamicConvolution(Operator):
    """Adds a convolution whose taps each position computes, normalised by a softmax over the taps.

    The channels split into H heads of C/H channels, which share their taps:

        A_m(q, p) = softmax over the taps p of (W x_q)[m, p]
        y_q = x_q + gamma sum over p of A_m(q, p) x_{q+p}, in the channels of head m

    W is a linear map of C to H K^2 without bias; beyond the border x is 0, and its taps keep their weight.
    gamma is a scalar that is 0 at first, so the block begins as the identity.
    The formula that the empirical study used in its networks is not known to us. This is the definition of
    the first source, in its public code `dynamic_convolution.py`, read in two dimensions: the taps are a
    K x K window around the position, in place of K words. By default it is on the last two stages of a
    backbone, as the study's attention is.

    Args:
        channels: Channels of the input.
        heads: Number of heads, a divisor of the channels; the greatest common divisor of 8 and the channels
            if left out.
        kernel_size: Height and width of the window, odd.

    Raises:
        InputError: If the heads do not divide the channels, or the window is not odd.
    """

    place: ClassVar[Place] = "activation"
    last_stages: ClassVar[int | None] = 2

    def __init__(self, channels: int, *, heads: int | None = None, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"dynamic[kernel_size={kernel_size}] has no middle; choose an odd size: 3")
        self.heads = heads_of(channels, heads, "dynamic")
        self.kernel_size = kernel_size
        self.taps = nn.Conv2d(channels, self.heads * kernel_size**2, 1, bias=False)
        nn.init.xavier_uniform_(self.taps.weight)
        self.gamma = nn.Parameter(torch.zeros(1))

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        h, w = x.shape[2:]
        weights = self.taps(x).unflatten(1, (self.heads, -1)).softmax(2)
        reach = self.kernel_size // 2
        around = F.pad(x, (reach, reach, reach, reach)).unflatten(1, (self.heads, -1))
        y: Tensor | None = None
        for number in range(self.kernel_size**2):
            i, j = divmod(number, self.kernel_size)
            tap = weights[:, :, number, None] * around[..., i : i + h, j : j + w]
            y = tap if y is None else y + tap
        assert y is not None
        return x + self.gamma * y.flatten(1, 2)

    def macs(self, shape: torch.Size) -> int:
        """Multiply-accumulates of the linear map that gives the taps, and of the taps."""
        b, c, h, w = shape
        return b * h * w * c * self.kernel_size**2 * (self.heads + 1)
