"""Generalized attention on sequences: any of the four terms of transformer attention.

Source: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks", ICCV 2019
(arXiv:1904.05873); the terms are those of Dai et al., "Transformer-XL", ACL 2019 (arXiv:1901.02860).
"""

from __future__ import annotations

import math
import re

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import heads_of, on_sequences
from search_space.sequence import (
    CAUSAL,
    CONTENT,
    Cache,
    Look,
    Role,
    SequenceOperator,
    appended,
    given,
    joined,
    lower,
    normalised,
    remembered,
    seen,
    split_heads,
)

WAVE_LENGTH = 10000.0
"""Longest wave of the sines and cosines that code a distance, over 2 pi, as the Transformer has it."""

TERMS = (CONTENT, "query content and position", "key content", "position")
"""The terms in the order of their bits."""


@on_sequences("ga")
class GeneralizedSequenceAttention(SequenceOperator):
    """Attention among the elements of a sequence with any of four energy terms: `ga:1111`, `ga:0010`, ...

    As on maps (`ga` there), with positions q and k in time: each head m has the weights A_m(q, k) = softmax
    over k of the sum over sqrt(d) of the terms whose bit is 1, in this order:

        query and key content         z_q^T U_m^T V_m x_k       `1000`
        query content and position    z_q^T U_m^T W_m R_{q-k}   `0100`
        key content                   u_m^T V_m x_k             `0010`
        position                      v_m^T W_m R_{q-k}         `0001`

        y_q = b + sum over m of P_m (sum over k of A_m(q, k) V'_m x_k)

    R codes a distance by sines and cosines of C/2 wave lengths 2 pi 10000^(2i/C); W is a linear map without
    bias. `0000` adds nothing, as on maps: there is no attention. Toward another sequence there are no
    distances, so the terms of position are refused there, and so is `0000`, which would not look at it.
    Computed with one row of W R for each distance: nothing of length x length x width is ever made.
    Differs from the form on maps: energies are divided by sqrt(d), as the Transformer has them, and there is
    no factor gamma, as a Transformer's layer is a residual connection already. How the authors scaled their
    energies in translation is not known to us.

    Args:
        channels: Width C of the elements.
        role: What it reads.
        argument: The bits of the four terms.
        heads: Number of heads, a divisor of the channels; the network's own if left out.
        dropout: Probability with which a weight is dropped in training; the network's own if left out.

    Raises:
        InputError: If the bits are not four of 0 and 1, have no sense in this role, or the heads do not
            divide the channels.
    """

    def __init__(
        self,
        channels: int,
        role: Role = "self",
        argument: str = "1111",
        *,
        heads: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not re.fullmatch("[01]{4}", argument, re.ASCII):
            raise InputError(
                f"ga:{argument} has no such terms; give four bits as in ga:0010: {', '.join(TERMS)}"
            )
        self.bits = tuple(bit == "1" for bit in argument)
        query_key, query_position, key, position = self.bits
        if role == "cross" and (query_position or position or not any(self.bits)):
            named = [name for name, bit in zip(TERMS, self.bits) if bit and "position" in name]
            raise InputError(
                f"ga:{argument} cannot stand between decoder and encoder: "
                + (f"there is no {' and no '.join(named)} there, " if named else "it would read nothing, ")
                + "for a word of one sentence has no distance from one of the other; give ga:1000, ga:0010 "
                "or ga:1010"
            )
        self.role: Role = role
        self.heads, self.dropout = heads_of(channels, heads, "ga"), dropout
        self.num_waves = max(1, channels // 2)
        self.channels = channels
        if not any(self.bits):
            return
        if query_key or query_position:
            self.query = nn.Linear(channels, channels, bias=False)
        if query_key or key:
            self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        if query_position or position:
            self.distances = nn.Linear(2 * self.num_waves, channels, bias=False)
        if key:
            self.key_bias = nn.Parameter(torch.empty(self.heads, channels // self.heads))
        if position:
            self.position_bias = nn.Parameter(torch.empty(self.heads, channels // self.heads))
        self.project = nn.Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Maps as plain attention has them at first; u and v as on maps."""
        for module in self.children():
            assert isinstance(module, nn.Linear)
            nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.project.bias)
        for parameter in (value for _, value in self.named_parameters(recurse=False)):
            bound = 1 / math.sqrt(2 * parameter.shape[1])
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        if not any(self.bits):
            return torch.zeros_like(x)
        if self.role == "cross":
            key, value = remembered(cache, lambda: self._keys_and_values(given(memory)))
        else:
            key, value = self._keys_and_values(x)
            key, value = appended(cache, key=key, value=value)
        query_key, query_position, has_key, position = self.bits
        query = split_heads(self.query(x), self.heads) if query_key or query_position else None
        mask = seen(self.role, x.shape[1], value.shape[2], padding, x.device)
        bias = None
        if query_position or position:
            content = _summed(query if query_position else None, self.position_bias if position else None)
            bias = self._positions(content, x.shape[1], value.shape[2])
            if mask is CAUSAL:
                mask = lower(x.shape[1], value.shape[2], x.device)
            mask = bias if mask is None else bias.masked_fill(~mask, -math.inf)
        if not (query_key or has_key):
            assert mask is not None
            y = self._weighted(mask, value)
        else:
            content = _summed(query if query_key else None, self.key_bias if has_key else None)
            asked = 1 if self._is_shared() else x.shape[1]
            y = F.scaled_dot_product_attention(
                content.expand(value.shape[0], -1, asked, -1).to(value.dtype),
                key,
                value,
                attn_mask=None if mask is CAUSAL or mask is None else _matching(mask, value),
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=mask is CAUSAL,
            )
        return self.project(joined(y)).expand_as(x)

    def look(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
    ) -> Look | None:
        if not any(self.bits):
            return None
        key, value = self._keys_and_values(x if memory is None else memory)
        size = value.shape[0], self.heads, x.shape[1], value.shape[2]
        query = split_heads(self.query(x), self.heads) if self.bits[0] or self.bits[1] else None
        energies = list[Tensor]()
        for number, bit in enumerate(self.bits):
            if not bit:
                continue
            bias = None if number < 2 else self.key_bias if number == 2 else self.position_bias
            content = _summed(query if bias is None else None, bias)
            if number % 2:
                energy = self._positions(content, *size[2:])
            else:
                energy = content @ key.transpose(2, 3) / math.sqrt(key.shape[3])
            energies.append(energy.expand(size))
        named = dict(zip((name for name, bit in zip(TERMS, self.bits) if bit), energies))
        return Look(normalised(sum(energies[1:], energies[0]), self.role, padding), named)

    def empty_cache(self, x: Float[Tensor, "b _ c"]) -> Cache:
        if not any(self.bits):
            return {}
        value = split_heads(x[:, :0], self.heads)
        return {"key": value if self.bits[0] or self.bits[2] else value[..., :0], "value": value}

    def _is_shared(self) -> bool:
        """Whether one weighted mean serves all queries."""
        return self.bits == (False, False, True, False) and self.role != "causal"

    def _keys_and_values(self, x: Float[Tensor, "b k c"]) -> tuple[Tensor, ...]:
        """Keys and values by head; keys of no channel where no term reads them."""
        value = split_heads(self.value(x), self.heads)
        has_keys = self.bits[0] or self.bits[2]
        return split_heads(self.key(x), self.heads) if has_keys else value[..., :0], value

    def _weighted(self, energy: Float[Tensor, "_ m q k"], value: Tensor) -> Float[Tensor, "b m q d"]:
        """Values weighted by the positions alone; whoever sees nothing gets 0."""
        peak = energy.amax(-1, keepdim=True).clamp(min=torch.finfo(energy.dtype).min)
        weights = (energy - peak.detach()).exp()
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(energy.dtype).tiny)
        weights = F.dropout(weights, self.dropout, self.training)
        return weights.to(value.dtype) @ value

    def _positions(
        self, content: Float[Tensor, "_ m _ d"], queries: int, keys: int
    ) -> Float[Tensor, "_ m q k"]:
        """The terms of position over sqrt(d): a column for each distance, then every row shifted by one."""
        ahead = queries - 1  # distances below 0, which nobody sees in a causal sequence
        causal = self.role == "causal"
        distance = torch.arange(keys - 1, -1 if causal else -1 - ahead, -1, device=content.device)
        table = self._coded(distance).transpose(1, 2)
        energy = (content.to(table.dtype) @ table) / math.sqrt(table.shape[1])
        energy = energy.expand(-1, -1, queries, -1)
        columns = keys + ahead
        # Row i wants the columns from ahead - i on: in a row longer by one, that is a shift of the whole.
        padded = F.pad(energy, (0, 1 + (ahead if causal else 0))).flatten(2)
        return padded[..., ahead : ahead + queries * columns].unflatten(2, (queries, columns))[..., :keys]

    def _coded(self, distance: Tensor) -> Float[Tensor, "m n d"]:
        weight = self.distances.weight
        precise = torch.promote_types(torch.float32, weight.dtype)
        power = torch.arange(self.num_waves, device=distance.device, dtype=precise) / self.num_waves
        angle = distance[:, None].to(precise) / WAVE_LENGTH**power
        code = torch.cat((angle.sin(), angle.cos()), 1).to(weight.dtype)
        return self.distances(code).unflatten(1, (self.heads, -1)).transpose(0, 1)

    def macs_of(self, queries: int, keys: int) -> int:
        """Counts by the definition: a pair of query and key has its weight, each distance its code once."""
        if not any(self.bits):
            return 0
        query_key, query_position, key, position = self.bits
        c, asked = self.channels, 1 if self._is_shared() else queries
        maps = c * c * (asked + queries * (query_key or query_position) + keys * (1 + (query_key or key)))
        pairs = keys * c * (asked + queries * (query_key + query_position) + key)
        distances = (queries + keys - 1) if query_position or position else 0
        return maps + pairs + distances * c * (2 * self.num_waves + position)


def _summed(query: Tensor | None, bias: Tensor | None) -> Float[Tensor, "_ m _ d"]:
    """Query plus bias, of which one at least is there."""
    if bias is None:
        assert query is not None
        return query
    bias = bias[None, :, None]
    return bias if query is None else query + bias.to(query.dtype)


def _matching(mask: Tensor, value: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask.to(value.dtype)
