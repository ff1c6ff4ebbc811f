"""Attention over the weights of a convolution: the AW-convolution.

Source: Zhu, Hofstee, Lee, Al-Ars, "An Attention Module for Convolutional Neural Networks", ICANN 2021,
eq. 4-8 (arXiv:2108.08205).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.composed import folds
from search_space.convolution import (
    ConvolutionOperator,
    arguments_of,
    as_convolution,
    convolution_macs,
    margins,
    output_size,
)
from search_space.norm import OperatorNorm
from search_space.operator import hidden_units, operator
from search_space.state import State


@operator("aw")
class AWConvolution(ConvolutionOperator, nn.Conv2d):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Convolves every image with a kernel of its own, K + A * K.

    A = sigmoid(BN(W2 relu(BN(W1 P)))), P the map average-pooled to the kernel's height and width, W1 and W2
    1x1 convolutions without biases; A has one factor an output channel and tap, the same for all input
    channels. Computed without the kernels, tap by tap:

        y[b, p] = sum over taps t of (1 + A[b, p, t]) conv(x, K[p, :, t])

    With `identity` the convolution stands as it is beside the sum of A's part times a scale that begins at 0.

    It is the convolution that it changes, with its weight under its own key, and the attention's beside it.
    Sizes are those that the counts of its tables fix: C2/16 hidden units, no biases, affine norms (in the
    source's words r_C1 = C1, r_C2 = r_hw = 1). Differs from it: the hidden layer has at least one unit.

    Args:
        channels: The convolution to change; a number of channels for a new 3x3 one.
        reduction: Ratio of output channels to hidden units.

    Raises:
        InputError: If `reduction` is not positive; while training, if a 1x1 kernel meets a batch of one.
    """

    keeps_weight = True

    def __init__(self, channels: int | nn.Conv2d, *, reduction: int = 16) -> None:
        conv = as_convolution(channels)
        super().__init__(**arguments_of(conv), device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        hidden = hidden_units(conv.out_channels, reduction)
        self.squeeze = nn.Conv2d(conv.in_channels, hidden, 1, bias=False)
        self.squeeze_norm = OperatorNorm(hidden)
        self.excite = nn.Conv2d(hidden, conv.out_channels, 1, bias=False)
        self.excite_norm = OperatorNorm(conv.out_channels)
        self.register_parameter("scale", None)

    def start_plain(self) -> None:
        self.scale = nn.Parameter(self.weight.new_zeros(()))

    def factors(self, x: Float[Tensor, "b c1 h w"]) -> Float[Tensor, "b c2 kh kw"]:
        """The factors A of the kernel's taps, in (0, 1)."""
        if self.training and x.shape[0] == 1 and self.kernel_size == (1, 1):
            raise InputError(
                "aw on a 1x1 convolution cannot train at batch 1: its norm sees one value a channel"
            )
        pooled = _pooled(x, (self.kernel_size[0], self.kernel_size[1]))
        hidden = self.squeeze_norm(self.squeeze(pooled)).relu()
        return torch.sigmoid(self.excite_norm(self.excite(hidden)))

    def read(self, state: State) -> Float[Tensor, "b c2 h2 w2"]:
        x = state.x
        a = self.factors(x)
        if self.scale is not None:  # the plain convolution as it is, to the last bit where the scale is 0
            return self._conv_forward(x, self.weight, self.bias) + self.scale * self._weighted(x, a)
        y = self._weighted(x, 1 + a)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _weighted(
        self, x: Float[Tensor, "b c1 h w"], factors: Float[Tensor, "b c2 kh kw"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """The sum over the kernel's taps, each times its factor; no bias."""
        x, (h, w) = self._padded(x), output_size(self, x.shape[2:])
        y: Tensor | None = None
        for i in range(self.kernel_size[0]):
            for j in range(self.kernel_size[1]):
                top, left = i * self.dilation[0], j * self.dilation[1]
                seen = x[
                    :,
                    :,
                    top : top + (h - 1) * self.stride[0] + 1 : self.stride[0],
                    left : left + (w - 1) * self.stride[1] + 1 : self.stride[1],
                ]
                tap = F.conv2d(seen, self.weight[:, :, i : i + 1, j : j + 1], groups=self.groups)
                tap = tap * factors[:, :, i : i + 1, j : j + 1]
                y = tap if y is None else y + tap
        assert y is not None
        return y

    def macs(self, shape: torch.Size) -> int:
        """The convolution's, those of the kernel A * K, and those of A itself."""
        b = shape[0]
        size = output_size(self, shape[2:])
        taps = self.kernel_size[0] * self.kernel_size[1]
        branch = self.squeeze.weight.numel() + self.excite.weight.numel()
        return convolution_macs(self, b, size) + b * (self.weight.numel() + branch * taps)

    def _padded(self, x: Float[Tensor, "b c1 h w"]) -> Float[Tensor, "b c1 h2 w2"]:
        rows, columns = margins(self)
        if not any((*rows, *columns)):
            return x
        return F.pad(
            x, (*columns, *rows), mode="constant" if self.padding_mode == "zeros" else self.padding_mode
        )


def _pooled(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c kh kw"]:
    """The map averaged over as many windows as the kernel has taps, as `adaptive_avg_pool2d` lays them.

    Exporters have no form of that for maps of free size, so there it is a product with two matrices of means.
    """
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(x, size)
    rows, columns = (_means(length, count, x) for length, count in zip(x.shape[2:], size))
    return rows @ x @ columns.T


def _means(length: int, count: int, like: Tensor) -> Float[Tensor, "count length"]:
    """The matrix that averages `length` values over `count` windows."""
    window, position = torch.arange(count, device=like.device), torch.arange(length, device=like.device)
    first, end = window * length // count, ((window + 1) * length + count - 1) // count
    inside = (position >= first[:, None]) & (position < end[:, None])
    return inside.to(like.dtype) / (end - first)[:, None].to(like.dtype)


folds(AWConvolution, {"squeeze_norm": "squeeze", "excite_norm": "excite"})
