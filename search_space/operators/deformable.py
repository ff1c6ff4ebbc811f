"""Deformable convolution: each position's own offsets say where the taps read.

Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017 (arXiv:1703.06211); modulated: Zhu et al.,
"Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019 (arXiv:1811.11168).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.convolution import (
    ConvolutionOperator,
    as_convolution,
    convolution_macs,
    margins,
    output_size,
)
from search_space.operator import operator
from search_space.state import State


@operator("dcn")
class DeformableConvolution(ConvolutionOperator, nn.Conv2d):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Shifts each tap of a convolution by an offset that a second convolution computes from the map.

        y[p] = sum over taps t of K[t] m[t, p] x(p + t + o[t, p]),  [o; m] = the second convolution of x

    x between positions is bilinear, and 0 beyond the border; m is 1, or with `modulated` 2 sigmoid(...).
    The second convolution has the shape of the first and a bias, and all of it is 0 at first, so the operator
    begins as the convolution that it changes, whose weight keeps its key. torchvision's operator computes it,
    in float32 at least, adding in another order than a convolution; after `start_plain` the convolution
    itself computes what no offset moves, to the last bit. By default it is on the last three stages of a
    backbone, as mmdetection has it.
    Differs from the second source: the factor 2, without which the operator begins as half the convolution.

    Args:
        channels: The convolution to change; a number of channels for a new 3x3 one.
        modulated: Whether each tap has a factor as well (v2).
        groups: Groups of input channels with offsets of their own.

    Raises:
        InputError: If the groups do not divide the input channels.
    """

    keeps_weight = True
    last_stages: ClassVar[int | None] = 3
    twice_differentiable: ClassVar[bool] = False  # torchvision's operator has no second derivative

    def __init__(self, channels: int | nn.Conv2d, *, modulated: bool = False, groups: int = 1) -> None:
        conv = as_convolution(channels)
        if groups < 1 or conv.in_channels % groups:
            raise InputError(f"dcn[groups={groups}] does not divide {conv.in_channels} input channels")
        shape = (
            (conv.kernel_size[0], conv.kernel_size[1]),
            (conv.stride[0], conv.stride[1]),
            conv.padding if isinstance(conv.padding, str) else (conv.padding[0], conv.padding[1]),
            (conv.dilation[0], conv.dilation[1]),
        )
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            *shape,
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.is_plain_at_rest = False
        self.num_offsets = 2 * groups * conv.kernel_size[0] * conv.kernel_size[1]
        num_maps = self.num_offsets * 3 // 2 if modulated else self.num_offsets
        self.offset = nn.Conv2d(conv.in_channels, num_maps, *shape, padding_mode=conv.padding_mode)
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)

    def start_plain(self) -> None:
        """Has the convolution itself compute all positions whose taps are not moved."""
        self.is_plain_at_rest = True

    def read(self, state: State) -> Float[Tensor, "b c2 h2 w2"]:
        x = state.x
        maps = moves = self.offset(x)
        kind = maps.dtype
        precise = torch.promote_types(kind, torch.float32)
        rows, columns = margins(self)
        padding = (rows[0], columns[0])
        if self.padding_mode != "zeros" or rows[0] != rows[1] or columns[0] != columns[1]:
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = F.pad(x, (*columns, *rows), mode=mode), (0, 0)
        maps, mask = maps.to(precise), None
        if maps.shape[1] > self.num_offsets:
            mask = 2 * torch.sigmoid(maps[:, self.num_offsets :])
        y = deform_conv2d(
            x.to(precise),
            maps[:, : self.num_offsets],
            self.weight.to(precise),
            None if self.bias is None else self.bias.to(precise),
            stride=(self.stride[0], self.stride[1]),
            padding=padding,
            dilation=(self.dilation[0], self.dilation[1]),
            mask=mask,
        )
        y = y.to(kind)
        if not self.is_plain_at_rest:
            return y
        plain = self._conv_forward(state.x, self.weight, self.bias).detach()
        # Adding y - y, which is 0, leaves the gradients those of the deformable convolution.
        return torch.where((moves == 0).all(1, keepdim=True), plain + (y - y.detach()), y)

    def macs(self, shape: torch.Size) -> int:
        """Both convolutions', without what interpolates."""
        size = output_size(self, shape[2:])
        return convolution_macs(self, shape[0], size) + convolution_macs(self.offset, shape[0], size)


def deform_conv2d(*maps: Any, **geometry: Any) -> Tensor:
    """The operator of torchvision; `composed` under `torch.func` and in exports, which cannot see into it."""
    if torch.compiler.is_exporting() or _functorch.peek_interpreter_stack() is not None:
        return composed(*maps, **geometry)
    from torchvision import ops  # slow

    return ops.deform_conv2d(*maps, **geometry)


def composed(
    input: Float[Tensor, "b c h w"],
    offset: Float[Tensor, "b offsets h2 w2"],
    weight: Float[Tensor, "c2 c_group kh kw"],
    bias: Float[Tensor, "c2"] | None,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    mask: Float[Tensor, "b taps h2 w2"] | None,
) -> Float[Tensor, "b c2 h2 w2"]:
    """What torchvision's `deform_conv2d` computes, from torch's own operators: a bilinear sample a tap."""
    (b, c, h, w), (kh, kw) = input.shape, weight.shape[2:]
    h2, w2 = offset.shape[2:]
    taps = kh * kw
    moved = offset.view(b, -1, taps, 2, h2, w2)
    groups = moved.shape[1]
    tap = torch.arange(taps, device=input.device)

    def start(axis: int, length: int, of_tap: Tensor) -> Tensor:
        """Where each tap looks without offsets, (taps, length)."""
        at = torch.arange(length, device=input.device) * stride[axis] - padding[axis]
        return (at + of_tap[:, None] * dilation[axis]).to(input.dtype)

    rows = start(0, h2, tap // kw)[:, :, None] + moved[:, :, :, 0]
    columns = start(1, w2, tap % kw)[:, None, :] + moved[:, :, :, 1]
    seen = _bilinear(input.view(b, groups, c // groups, h, w), rows, columns).flatten(4)
    if mask is not None:
        seen = seen * mask.view(b, groups, 1, taps, h2 * w2)
    of_groups = c // weight.shape[1]
    kernels = weight.view(of_groups, weight.shape[0] // of_groups, -1)
    y = (kernels @ seen.reshape(b, of_groups, -1, h2 * w2)).view(b, weight.shape[0], h2, w2)
    return y if bias is None else y + bias[:, None, None]


def _bilinear(
    maps: Float[Tensor, "b g c h w"],
    rows: Float[Tensor, "b g t h2 w2"],
    columns: Float[Tensor, "b g t h2 w2"],
) -> Float[Tensor, "b g c t h2 w2"]:
    """Maps between their positions, 0 beyond the border; `grid_sample` would round whole positions."""
    h, w = maps.shape[3:]
    # Whole numbers stay what they are in eight bits, where floats would be rounded to others.
    top, left = rows.detach().floor().long(), columns.detach().floor().long()
    below, right = rows - top, columns - left
    flat = maps.flatten(3)

    def corner(row: Tensor, column: Tensor) -> Tensor:
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        # Exporters to ONNX lose the bounds of clamps, so what is outside reads position 0.
        index = torch.where(inside, row * w + column, 0).flatten(2)[:, :, None]
        values = flat.gather(3, index.expand(-1, -1, flat.shape[2], -1))
        return values.unflatten(3, row.shape[2:]) * inside[:, :, None]

    def weighted(row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
        return corner(row, column) * weight[:, :, None]

    return (
        weighted(top, left, (1 - below) * (1 - right))
        + weighted(top, left + 1, (1 - below) * right)
        + weighted(top + 1, left, below * (1 - right))
        + weighted(top + 1, left + 1, below * right)
    )
