"""The deformable unit on sequences: each element's own offsets say where in time the taps read.

Source: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks", ICCV 2019
(arXiv:1904.05873), figure 2c, after Dai et al., "Deformable Convolutional Networks", ICCV 2017
(arXiv:1703.06211).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import on_sequences
from search_space.sequence import Cache, Role, SequenceOperator, appended, not_cross, taps_before


@on_sequences("dcn")
class DeformableSequence(SequenceOperator):
    """A convolution over time whose taps are moved by offsets; it stands before a self-attention.

        y_q = b + sum over taps t of K[t] x(q + t + o[t, q]),  o = a second convolution of x

    x between elements is linear, and 0 beyond the ends and at padding. The taps are -(K-1)/2 to (K-1)/2; in a
    causal sequence they are -(K-1) to 0, those of the second convolution too, and no tap reads beyond q: a
    later position is q. Between two elements the slope is that of the line to the left, so that not even a
    gradient looks ahead. The second convolution and its bias are 0 at first, and K passes x on, so the unit
    begins as the identity. The authors' unit has the kernel 3; how theirs begins is not known to us.

    Args:
        channels: Width of the elements.
        role: What it reads; not "cross".
        kernel_size: Number of taps; odd, unless it is causal.
        groups: Groups of channels with offsets of their own.

    Raises:
        InputError: If the groups do not divide the channels, the kernel has no middle, or the role is
            "cross".
    """

    before: ClassVar[bool] = True

    def __init__(self, channels: int, role: Role = "self", *, kernel_size: int = 3, groups: int = 1) -> None:
        super().__init__()
        not_cross(role, "dcn", "it moves along one sentence, before its self-attention")
        self.left = taps_before(kernel_size, role, "dcn", 3)
        if groups < 1 or channels % groups:
            raise InputError(f"dcn[groups={groups}] does not divide {channels} channels")
        self.role: Role = role
        self.kernel_size, self.groups = kernel_size, groups
        self.offset = nn.Conv1d(channels, groups * kernel_size, kernel_size)
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)
        self.project = nn.Linear(kernel_size * channels, channels)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():
            nn.init.zeros_(self.project.weight)
            own = self.project.weight[:, self.left * channels : (self.left + 1) * channels]
            own.fill_diagonal_(1.0)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Tensor | None = None,
        padding: Bool[Tensor, "b q"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        assert memory is None, "it reads its own sequence"
        if padding is not None:
            x = x.masked_fill(padding[:, :, None], 0.0)
        queries = x.shape[1]
        (x,) = appended(cache, axis=1, elements=x)
        n = x.shape[1]
        reach = x[:, max(0, n - queries - self.left) :]
        right = self.kernel_size - 1 - self.left
        around = F.pad(reach, (0, 0, queries + self.left - reach.shape[1], right))
        precise = torch.promote_types(x.dtype, torch.float32)
        moves = self.offset(around.transpose(1, 2)).to(precise).unflatten(1, (self.groups, -1))
        own = torch.arange(n - queries, n, device=x.device, dtype=precise)
        taps = torch.arange(self.kernel_size, device=x.device, dtype=precise) - self.left
        places = moves + (own + taps[:, None])  # (b, g, taps, q)
        if self.role == "causal":
            places = places.clamp(max=own.expand_as(places))
        return self.project(_between(x, places).to(x.dtype))

    def empty_cache(self, x: Float[Tensor, "b _ c"]) -> Cache:
        """Zeros, as there are before the first element: one for each tap, so that no tap reaches further."""
        return {"elements": x.new_zeros(x.shape[0], self.left + 1, x.shape[2])}

    def macs_of(self, queries: int, keys: int) -> int:
        """Multiply-accumulates of both convolutions, without those that interpolate."""
        c = self.project.out_features
        return queries * c * self.kernel_size * (c + self.groups * self.kernel_size)


def _between(x: Float[Tensor, "b n c"], places: Float[Tensor, "b g taps q"]) -> Float[Tensor, "b q taps_c"]:
    """Sequences between their elements, tap after tap: a line to the element at or above a place."""
    n, (groups, taps, queries) = x.shape[1], places.shape[1:]
    upper = places.detach().ceil().long()
    below = upper - places  # share of the element before
    parts = x.unflatten(2, (groups, -1)).transpose(1, 2)  # (b, g, n, c/g)

    def element(index: Tensor) -> Tensor:
        inside = (index >= 0) & (index < n)
        flat = torch.where(inside, index, 0).flatten(2)[..., None]
        values = parts.gather(2, flat.expand(-1, -1, -1, parts.shape[3])).unflatten(2, (taps, queries))
        return values * inside[..., None]

    y = element(upper) * (1 - below)[..., None] + element(upper - 1) * below[..., None]
    return y.permute(0, 3, 2, 1, 4).flatten(2)
