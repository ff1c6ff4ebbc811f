"""Lightweight and dynamic convolution on sequences: weights over the neighbours, normalised by a softmax.

Source: Wu et al., "Pay Less Attention with Lightweight and Dynamic Convolutions", ICLR 2019
(arXiv:1901.10430).
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation import rules
from foundation.errors import InputError
from search_space.operator import heads_of, on_sequences
from search_space.sequence import Cache, Look, Role, SequenceOperator, not_cross, taps_before

BLOCK = 32
"""Elements whose taps are laid out as one matrix: more waste products, fewer waste calls."""


@on_sequences("dynamic")
class DynamicSequenceConvolution(SequenceOperator):
    """Weighs the neighbours of an element by a softmax over taps, instead of attending to all elements.

    With x the input after a linear map and a gated linear unit, and H heads of C/H channels:

        dynamic      A_m(q, p) = softmax over the taps p of (W x_q)[m, p]
        lightweight  A_m(p) = softmax over the taps p of w[m, p], the same for every element
        y_q = O sum over p of A_m(q, p) x_{q+p}, in the channels of head m

    The taps reach from -(K-1)/2 to (K-1)/2, in a causal sequence from -(K-1) to 0. Beyond the ends and at
    padding x is 0, and its taps keep their weight, as in the source's code and as on maps. DropConnect drops
    normalised weights in training. W has no bias.

    Args:
        channels: Width C of the elements.
        role: What it reads; not "cross".
        form: Whether each element computes its weights (dynamic) or all have the same (lightweight).
        heads: Number of heads, a divisor of the channels; the network's own if left out.
        kernel_size: Number K of taps; odd, unless it is causal. In the source 3, 7, 15 and then 31, layer by
            layer.
        drop_weights: Probability with which DropConnect drops a weight; the source has 0.1.
        gate: Whether the map before the taps is followed by a gated linear unit.

    Raises:
        InputError: If the heads do not divide the channels, the kernel has no middle, or the role is "cross".
    """

    def __init__(
        self,
        channels: int,
        role: Role = "self",
        *,
        form: Literal["dynamic", "lightweight"] = "dynamic",
        heads: int | None = None,
        kernel_size: int = 7,
        drop_weights: float = 0.0,
        gate: bool = True,
    ) -> None:
        super().__init__()
        not_cross(role, "dynamic", "it reads neighbours, which a word has in its own sentence alone")
        self.left = taps_before(kernel_size, role, "dynamic", 7)
        if form not in ("dynamic", "lightweight"):
            raise InputError(f"dynamic[{form}] is no form; choose dynamic or lightweight")
        self.role: Role = role
        self.heads = heads_of(channels, heads, "dynamic")
        self.kernel_size, self.gate = kernel_size, gate
        self.drop_weights = drop_weights
        rules.below_one(self, "drop_weights", prefix="dynamic ")
        self.project_in = nn.Linear(channels, (1 + gate) * channels)
        self.project = nn.Linear(channels, channels)
        for linear in (self.project_in, self.project):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        taps = self.heads * kernel_size
        if form == "dynamic":
            self.taps = nn.Linear(channels, taps, bias=False)
            nn.init.xavier_uniform_(self.taps.weight)
        else:
            self.taps = None
            self.weight = nn.Parameter(torch.empty(self.heads, kernel_size))
            nn.init.xavier_uniform_(self.weight)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Tensor | None = None,
        padding: Bool[Tensor, "b q"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        assert memory is None, "it reads its own sequence"
        x = self._gated(x, padding)
        # Autocast computes a softmax in float32, and the products in the type of the map.
        weights = F.dropout(self._weights(x), self.drop_weights, self.training).to(x.dtype)
        if cache is None:
            around = F.pad(x, (0, 0, self.left, self.kernel_size - 1 - self.left))
        else:
            past = cache.get("past")
            around = F.pad(x, (0, 0, self.left, 0)) if past is None else torch.cat((past, x), 1)
            cache["past"] = around[:, x.shape[1] :]
        return self.project(_convolved(around, weights))

    def _gated(
        self, x: Float[Tensor, "b q c"], padding: Bool[Tensor, "b q"] | None
    ) -> Float[Tensor, "b q c"]:
        x = self.project_in(x)
        if self.gate:
            x = F.glu(x, -1)
        return x if padding is None else x.masked_fill(padding[:, :, None], 0.0)

    def _weights(self, x: Float[Tensor, "b q c"]) -> Float[Tensor, "b q m taps"]:
        if self.taps is None:
            return self.weight.expand(*x.shape[:2], -1, -1).softmax(-1)
        return self.taps(x).unflatten(2, (self.heads, -1)).softmax(-1)

    def look(
        self,
        x: Float[Tensor, "b q c"],
        memory: Tensor | None = None,
        padding: Bool[Tensor, "b q"] | None = None,
    ) -> Look:
        """Its taps where they read; those beyond the ends read nothing."""
        weights, n = self._weights(self._gated(x, padding)).transpose(1, 2), x.shape[1]
        reach = torch.arange(n)[:, None] + torch.arange(self.kernel_size) - self.left
        inside = ((reach >= 0) & (reach < n)).to(x.device)
        places = reach.clamp(0, n - 1).to(x.device).expand_as(weights)
        whole = weights.new_zeros(*weights.shape[:3], n)
        return Look(whole.scatter_add(3, places, weights * inside), {})

    def empty_cache(self, x: Float[Tensor, "b _ c"]) -> Cache:
        return {"past": x.new_zeros(x.shape[0], self.left, x.shape[2])}

    def macs_of(self, queries: int, keys: int) -> int:
        c = self.project.in_features
        taps = 0 if self.taps is None else self.heads * self.kernel_size
        return queries * c * (c * (2 + self.gate) + taps + self.kernel_size)


def _convolved(
    around: Float[Tensor, "b reach c"], weights: Float[Tensor, "b n m taps"]
) -> Float[Tensor, "b n c"]:
    """Sums of n + taps - 1 elements, each by its own taps, a block of elements as one product of matrices.

    In a block of s elements, the taps stand on the diagonal of a matrix of s rows and s + taps - 1 columns:
    laid out in rows one longer than that, they stand one under the other.
    """
    _, n, heads, taps = weights.shape
    if torch.compiler.is_exporting():  # a graph for every n, which has no blocks of its own size
        values = around.unflatten(2, (heads, -1))
        read = [values[:, tap : tap + n] * weights[..., tap, None] for tap in range(taps)]
        return sum(read[1:], read[0]).flatten(2)
    size = min(n, max(BLOCK, taps))
    short = -n % size
    weights = F.pad(weights, (0, size, 0, 0, 0, short)).unflatten(1, (-1, size)).transpose(2, 3)
    columns = size + taps - 1
    band = weights.flatten(3)[..., : size * columns].unflatten(3, (size, columns))
    rows = F.pad(around, (0, 0, 0, short)).unfold(1, columns, size)  # (b, blocks, c, columns)
    values = rows.unflatten(2, (heads, -1)).transpose(3, 4)
    y = (band @ values).transpose(2, 3).flatten(3).flatten(1, 2)
    return y[:, :n]
