"""Self-attention with relative positions beside a convolution: the attention-augmented convolution.

Source: Bello, Zoph, Vaswani, Shlens, Le, "Attention Augmented Convolutional Networks", ICCV 2019
(arXiv:1904.09925); sizes as the counts of its tables fix them.
"""

from __future__ import annotations

from math import ceil, floor
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.convolution import ConvolutionOperator, as_convolution, convolution_macs, margins
from search_space.operator import operator
from search_space.state import State


@operator("aa")
class AttentionAugmentedConvolution(ConvolutionOperator):
    """Concatenates a convolution with multi-head self-attention over all positions of the map.

    A convolution makes F - dv of the F channels; the other dv are W_o [O_1 .. O_N], for every head

        O = softmax((q_i . k_j + q_i . r^W[jx - ix] + q_i . r^H[jy - iy]) / sqrt(d)) v

    with d = dk / N, dk = N max(least, floor(kappa F / N)), dv = N floor(upsilon F / N), no biases, and tables
    r^W, r^H that all heads share. A query's relative logits are one number a key column and one a key row:
    they are appended to the query and one-hot codes of column and row to the key, so that the sum is one dot
    product, which torch's fused attention computes in memory linear in the map. Where second derivatives are
    needed, `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` around the call computes the same explicitly.

    The tables are made for maps of one `size` and are used on any: offsets beyond them take the outermost
    entry, as in Shaw et al. (arXiv:1803.02155), and smaller maps use the middle. The size is fixed when the
    module is built, not at the first forward pass: so its weights can be counted, loaded and given to an
    optimizer, and nothing changes shape under a compiler. `attach` finds it from the image's shape.

    The norm after the concatenation is the one that follows the convolution in its block: the counts of the
    tables have no other. A convolution with a stride has queries, keys and values of the same stride.
    Differs from the source: tables start with mean 0 and deviation 1/sqrt(d) (its listing gives that number
    as the mean; what was meant is not known); `largest` is our rule for the down-sampling of large maps (its
    own is not known): attention runs on the map averaged over windows, and is resized bilinearly.

    Args:
        channels: The convolution to stand for; a number of channels for a 3x3 one.
        kappa: Ratio of dk to the output channels.
        upsilon: Ratio of dv to the output channels; at 1 there is no convolution.
        heads: Number N of heads; None for 8, or one a value where the values are fewer (one at least).
        least: Least dimensions of a head's queries and keys.
        size: Height and width, or the side, of the output maps that the tables are for.
        largest: Largest side of a map that is attended as it is, larger ones are averaged; 0 for any.

    Raises:
        InputError: If kappa or upsilon is not in (0, 1], a head gets no value, a number is not positive, or
            the convolution has groups or does not keep the size of the map (its stride aside).
    """

    last_stages: ClassVar[int | None] = 3
    sized: ClassVar[bool] = True

    def __init__(
        self,
        channels: int | nn.Conv2d,
        *,
        kappa: float = 0.2,
        upsilon: float = 0.1,
        heads: int | None = None,
        least: int = 20,
        size: int | tuple[int, int] = 32,
        largest: int = 0,
    ) -> None:
        super().__init__()
        conv = as_convolution(channels)
        _check_geometry(conv)
        h, w = (size, size) if isinstance(size, int) else size
        _check_numbers(heads=8 if heads is None else heads, least=least, size=min(h, w))
        if largest < 0:
            raise InputError(f"aa: largest={largest} is negative; 0 attends maps of any size as they are")
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        values = _share("upsilon", upsilon, conv.out_channels)
        if heads is None:
            values = max(values, 1)
            heads = min(8, values)
        elif heads > values:
            raise InputError(
                f"aa: upsilon={upsilon} of {conv.out_channels} channels is {values}, so not every one of "
                f"{heads} heads has a value; raise upsilon or take fewer heads"
            )
        self.heads, self.largest = heads, largest
        self.key = max(least, _share("kappa", kappa, conv.out_channels) // heads)
        self.value = values // heads
        attended = heads * self.value
        self.conv = _narrowed(conv, conv.out_channels - attended) if attended < conv.out_channels else None
        self.stride = (conv.stride[0], conv.stride[1])
        self.qkv = nn.Conv2d(conv.in_channels, 2 * heads * self.key + attended, 1, bias=False)
        self.project = nn.Conv2d(attended, attended, 1, bias=False)
        h, w = self._attended_size(h, w)
        self.rows = nn.Parameter(torch.randn(2 * h - 1, self.key) * self.key**-0.5)
        self.columns = nn.Parameter(torch.randn(2 * w - 1, self.key) * self.key**-0.5)

    def read(self, state: State) -> Float[Tensor, "b c_out h2 w2"]:
        seen = state.x[:, :, :: self.stride[0], :: self.stride[1]]
        full = seen.shape[2:]
        window = self._window(*full)
        if window > 1:
            seen = F.avg_pool2d(seen, window, ceil_mode=True)
        attended = self.project(self.attend(self.qkv(seen)))
        if window > 1:
            attended = F.interpolate(attended, full, mode="bilinear", align_corners=False)
        return attended if self.conv is None else torch.cat((self.conv(state.x), attended), 1)

    def attend(self, qkv: Float[Tensor, "b qkv h w"]) -> Float[Tensor, "b v h w"]:
        """The values O of all heads, one after the other."""
        b, _, h, w = qkv.shape
        keys = self.heads * self.key
        q, k, v = (
            part.reshape(b, self.heads, part.shape[1] // self.heads, h * w).mT
            for part in qkv.split((keys, keys, self.heads * self.value), 1)
        )
        columns, rows = _offsets(self.columns, w).to(q.dtype), _offsets(self.rows, h).to(q.dtype)
        grid = q.reshape(b, self.heads, h, w, self.key)
        by_column = torch.einsum("bnywd,wxd->bnywx", grid, columns).flatten(2, 3)
        by_row = torch.einsum("bnhxd,hyd->bnhxy", grid, rows).flatten(2, 3)
        of_columns = _codes(w, q).expand(h, w, w).reshape(h * w, w)
        of_rows = _codes(h, q)[:, None].expand(h, w, h).reshape(h * w, h)
        codes = torch.cat((of_columns, of_rows), 1)
        q = torch.cat((q, by_column.to(q.dtype), by_row.to(q.dtype)), 3)
        k = torch.cat((k, codes.expand(b, self.heads, -1, -1)), 3)
        # Values of another width than the keys would take the path that keeps all logits, and a GPU's
        # kernels for half precision want multiples of 8.
        width = max(q.shape[3], self.value)
        width += -width % 8
        # Heads lie inside positions, as the fused backward lays out its gradients: compilers rely on it.
        q, k, v = (
            F.pad(part.transpose(1, 2), (0, width - part.shape[3])).contiguous().transpose(1, 2)
            for part in (q, k, v)
        )
        y = F.scaled_dot_product_attention(q, k, v, scale=self.key**-0.5)[..., : self.value]
        return y.mT.reshape(b, self.heads * self.value, h, w)

    def macs(self, shape: torch.Size) -> int:
        """Convolutions, all logits of content and of relative positions, and the sums of values."""
        b, _, h, w = shape
        h, w = ((side - 1) // stride + 1 for side, stride in zip((h, w), self.stride))
        total = 0 if self.conv is None else convolution_macs(self.conv, b, (h, w))
        h, w = self._attended_size(h, w)
        total += convolution_macs(self.qkv, b, (h, w)) + convolution_macs(self.project, b, (h, w))
        logits = self.key * (h * w + 2 * h - 1 + 2 * w - 1)
        return total + b * self.heads * h * w * (logits + h * w * self.value)

    def _window(self, h: int, w: int) -> int:
        return ceil(max(h, w) / self.largest) if self.largest else 1

    def _attended_size(self, h: int, w: int) -> tuple[int, int]:
        window = self._window(h, w)
        return ceil(h / window), ceil(w / window)


def _offsets(table: Float[Tensor, "offsets d"], side: int) -> Float[Tensor, "side side d"]:
    """The entry of every pair (query, key) on one axis, of the offset key - query."""
    position = torch.arange(side, device=table.device)
    most = (table.shape[0] - 1) // 2
    return table[(position - position[:, None]).clamp(-most, most) + most]


def _codes(side: int, like: Tensor) -> Float[Tensor, "side side"]:
    """One-hot codes of the positions on one axis."""
    return torch.eye(side, dtype=like.dtype, device=like.device)


def _share(name: str, ratio: float, channels: int) -> int:
    if not 0 < ratio <= 1:
        raise InputError(f"aa: {name}={ratio} is not in (0, 1], it is a share of the output channels")
    return floor(ratio * channels + 1e-9)  # 0.29 of 100 is 29


def _narrowed(conv: nn.Conv2d, num_filters: int) -> nn.Conv2d:
    return nn.Conv2d(
        conv.in_channels,
        num_filters,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        conv.padding if isinstance(conv.padding, str) else (conv.padding[0], conv.padding[1]),
        (conv.dilation[0], conv.dilation[1]),
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )


def _check_geometry(conv: nn.Conv2d) -> None:
    if conv.groups != 1:
        raise InputError(f"aa stands for convolutions without groups, and this one has {conv.groups}")
    reach = [dilation * (kernel - 1) for dilation, kernel in zip(conv.dilation, conv.kernel_size)]
    if [sum(margin) for margin in margins(conv)] != reach:
        raise InputError(
            f"aa stands for convolutions that keep the map's size: padding {conv.padding} does not with "
            f"kernel {conv.kernel_size}, dilation {conv.dilation}"
        )


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"aa: {name}={number} is not positive")
