"""Generalized attention: any of the four terms of transformer attention, over the positions of a map.

Source: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks", ICCV 2019
(arXiv:1904.05873), with the settings of the authors' module in mmdetection.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import Operator, Place, heads_of, operator
from search_space.state import State

WAVE_LENGTH = 1000.0
"""Longest wave of the sines and cosines that code a distance."""

PADDING = 8
"""Widths of queries and keys are padded to a multiple of this, which the fused kernels ask for."""


@operator("ga")
class GeneralizedAttention(Operator):
    """Attention among positions with any of four energy terms: `ga:1111`, `ga:0010`, ...

    With q and k for positions, z_q and x_k for their features and R for the code of a distance, each head m
    has the weights A_m(q, k) = softmax over k of the sum of the terms whose bit is 1, in this order:

        query and key content         z_q^T U_m^T V_m x_k       `1000`
        query content and position    z_q^T U_m^T W_m R_{q-k}   `0100`
        key content                   u_m^T V_m x_k             `0010`
        position                      v_m^T W_m R_{q-k}         `0001`

        y_q = x_q + gamma (b + sum over m of P_m (sum over k of A_m(q, k) V'_m x_k))

    U, V, V' and P are 1x1 convolutions, only P has a bias; gamma is a scalar that is 0 at first, so every
    form begins as the identity, and `0000` is it. No energy is divided by sqrt(d). Along each axis a distance
    is coded by sines and cosines of C/4 wave lengths, 1000^(4i/C) for i = 0, 1, ..., and a linear map of C/2
    to C without bias; W R is the sum of both axes over sqrt(2). Queries and keys are every q_stride-th and
    kv_stride-th position; a map of fewer queries is upsampled bilinearly.

    Computed without the energies of all pairs: the position terms are one number for each row and one for
    each column of the keys, so they are appended to the query, and one-hot codes of row and column to the
    key. `0010` has one map an image, for no query matters, and `0001` is a product of a softmax over the
    rows and one over the columns. By default it is on the last two stages of a backbone, as in the authors'
    networks.
    Differs from mmcv's module: right on maps that are not square for all bits; `spatial_range` on maps and
    channels of any size, and a window |q - k| <= range on both axes (theirs reaches further on one side); the
    heads divide the channels.

    Args:
        channels: Channels of the input.
        argument: The bits of the four terms.
        heads: Number of heads, a divisor of the channels; left out, 8 as in mmdetection (mmcv has 9), or the
            greatest common divisor of 8 and the channels.
        kv_stride: Distance of the positions that serve as keys and values.
        q_stride: Distance of the positions that ask.
        spatial_range: Farthest key that a query sees along each axis, in positions; -1 for no limit.
        position_magnitude: Factor of the distances.

    Raises:
        InputError: If the bits are not four of 0 and 1, the heads do not divide the channels, a stride is not
            positive, or the range may leave a query without keys.
    """

    place: ClassVar[Place] = "activation"
    last_stages: ClassVar[int | None] = 2

    def __init__(
        self,
        channels: int,
        argument: str = "1111",
        *,
        heads: int | None = None,
        kv_stride: int = 2,
        q_stride: int = 1,
        spatial_range: int = -1,
        position_magnitude: float = 1.0,
    ) -> None:
        super().__init__()
        if not re.fullmatch("[01]{4}", argument, re.ASCII):
            raise InputError(
                f"ga:{argument} has no such terms; give four bits as in ga:0010: query and key content, "
                "query content and position, key content, position"
            )
        for name, stride in (("kv_stride", kv_stride), ("q_stride", q_stride)):
            if stride < 1:
                raise InputError(f"ga[{name}={stride}] is not positive")
        nearest = kv_stride - math.gcd(kv_stride, q_stride)
        if spatial_range != -1 and spatial_range < nearest:
            raise InputError(
                f"ga[spatial_range={spatial_range}] leaves queries without keys; "
                f"give at least {nearest}, or -1 for no limit"
            )
        if not math.isfinite(position_magnitude):
            raise InputError(f"ga[position_magnitude={position_magnitude}] is not finite")
        self.bits = tuple(bit == "1" for bit in argument)
        self.heads = heads_of(channels, heads, "ga")
        self.kv_stride, self.q_stride = kv_stride, q_stride
        self.spatial_range, self.position_magnitude = spatial_range, position_magnitude
        self.num_waves = max(1, channels // 4)
        if not any(self.bits):
            return
        query_key, query_position, key, position = self.bits
        if query_key or query_position:
            self.query = nn.Conv2d(channels, channels, 1, bias=False)
        if query_key or key:
            self.key = nn.Conv2d(channels, channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1, bias=False)
        if query_position or position:
            self.rows = nn.Linear(2 * self.num_waves, channels, bias=False)
            self.columns = nn.Linear(2 * self.num_waves, channels, bias=False)
        if key:
            self.key_bias = nn.Parameter(torch.empty(self.heads, channels // self.heads))
        if position:
            self.position_bias = nn.Parameter(torch.empty(self.heads, channels // self.heads))
        self.project = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights as the authors' module has them at first."""
        for module in self.children():
            assert isinstance(module, nn.Conv2d | nn.Linear)
            nn.init.kaiming_uniform_(module.weight, a=1)
        assert self.project.bias is not None
        nn.init.zeros_(self.project.bias)
        for name, parameter in self.named_parameters(recurse=False):
            if name == "gamma":
                nn.init.zeros_(parameter)
            else:
                bound = 1 / math.sqrt(2 * parameter.shape[1])
                nn.init.uniform_(parameter, -bound, bound)

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        if not any(self.bits):
            return x
        asking = x[..., :: self.q_stride, :: self.q_stride]
        giving = x[..., :: self.kv_stride, :: self.kv_stride]
        value = self._split(self.value(giving))
        if self.bits == (False, False, True, False) and self.spatial_range < 0:
            seen = self._salient(giving, value)
        elif self.bits == (False, False, False, True):
            seen = self._placed(asking, value)
        else:
            seen = self._attended(asking, giving, value)
        y = self.project(seen.permute(0, 1, 4, 2, 3).flatten(1, 2))
        if self.q_stride > 1:
            y = F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x + self.gamma * y

    def _salient(
        self, giving: Float[Tensor, "b c i j"], value: Float[Tensor, "b m i j d"]
    ) -> Float[Tensor, "b m 1 1 d"]:
        """One weighted mean for all queries."""
        energy = torch.einsum("bmijd,md->bmij", self._split(self.key(giving)), self.key_bias)
        weights = energy.flatten(2).softmax(2).to(value.dtype)
        return torch.einsum("bmn,bmnd->bmd", weights, value.flatten(2, 3))[:, :, None, None]

    def _placed(
        self, asking: Float[Tensor, "b c h w"], value: Float[Tensor, "b m i j d"]
    ) -> Float[Tensor, "b m h w d"]:
        """Weights of the distance alone: rows by rows, then columns by columns."""
        weights: list[Tensor] = []
        for axis, linear in ((2, self.rows), (3, self.columns)):
            distance = self._distance(asking.shape[axis], value.shape[axis], value)
            energy = torch.einsum("md,hkmd->mhk", self.position_bias, self._coded(distance, linear))
            if self.spatial_range >= 0:
                energy = energy.masked_fill(distance.abs() > self.spatial_range, -math.inf)
            weights.append(energy.softmax(2).to(value.dtype))
        return torch.einsum("mhi,bmijd,mwj->bmhwd", weights[0], value, weights[1])

    def _attended(
        self,
        asking: Float[Tensor, "b c h w"],
        giving: Float[Tensor, "b c i j"],
        value: Float[Tensor, "b m i j d"],
    ) -> Float[Tensor, "b m h w d"]:
        """Any sum of terms as one dot product of longer queries and keys."""
        query_key, query_position, key, position = self.bits
        b, m, i, j, d = value.shape
        h, w = asking.shape[2:]
        query = self._split(self.query(asking)) if query_key or query_position else None
        rows = self._distance(h, i, value)
        columns = self._distance(w, j, value)
        queries: list[Tensor] = []
        keys: list[Tensor] = []
        if query_key or key:
            queries.append(self._summed(query if query_key else None, self.key_bias if key else None))
            keys.append(self._split(self.key(giving)))
        if query_position or position:
            content = self._summed(
                query if query_position else None, self.position_bias if position else None
            )
            queries.append(torch.einsum("bmhwd,hkmd->bmhwk", content, self._coded(rows, self.rows)))
            queries.append(torch.einsum("bmhwd,wkmd->bmhwk", content, self._coded(columns, self.columns)))
            keys.append(torch.eye(i, dtype=value.dtype, device=value.device)[:, None])
            keys.append(torch.eye(j, dtype=value.dtype, device=value.device))
        width = max(d, sum(part.shape[4] for part in queries))
        width += -width % PADDING
        seen = F.scaled_dot_product_attention(
            _padded(torch.cat([part.expand(b, m, h, w, -1) for part in queries], 4), width, value.dtype),
            _padded(torch.cat([part.expand(b, m, i, j, -1) for part in keys], 4), width, value.dtype),
            _padded(value, width, value.dtype),  # of one width, or torch takes the slow way
            attn_mask=self._window(rows, columns),
            scale=1.0,
        )
        return seen[..., :d].unflatten(2, (h, w))

    def _split(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m h w d"]:
        return x.unflatten(1, (self.heads, -1)).permute(0, 1, 3, 4, 2)

    def _summed(self, query: Tensor | None, bias: Tensor | None) -> Float[Tensor, "_ m _ _ d"]:
        assert query is not None or bias is not None
        if bias is None:
            assert query is not None
            return query
        bias = bias[None, :, None, None]
        return bias if query is None else query + bias.to(query.dtype)

    def _distance(self, num_queries: int, num_keys: int, like: Tensor) -> Float[Tensor, "q k"]:
        """Query minus key along an axis, in positions of the input."""
        ask = torch.arange(num_queries, device=like.device, dtype=torch.float32) * self.q_stride
        give = torch.arange(num_keys, device=like.device, dtype=torch.float32) * self.kv_stride
        return ask[:, None] - give

    def _coded(self, distance: Float[Tensor, "q k"], linear: nn.Linear) -> Float[Tensor, "q k m d"]:
        precise = torch.promote_types(torch.float32, linear.weight.dtype)
        power = torch.arange(self.num_waves, device=distance.device, dtype=precise) / self.num_waves
        angle = distance[..., None] * self.position_magnitude / WAVE_LENGTH**power
        code = torch.cat((angle.sin(), angle.cos()), 2).to(linear.weight.dtype)
        return linear(code).unflatten(2, (self.heads, -1)) / math.sqrt(2)

    def _window(
        self, rows: Float[Tensor, "h i"], columns: Float[Tensor, "w j"]
    ) -> Bool[Tensor, "hw ij"] | None:
        if self.spatial_range < 0:
            return None
        near = [distance.abs() <= self.spatial_range for distance in (rows, columns)]
        return (near[0][:, None, :, None] & near[1][None, :, None, :]).flatten(2).flatten(0, 1)

    def macs(self, shape: torch.Size) -> int:
        """Multiply-accumulates of the definition: every pair of query and key has its weight."""
        if not any(self.bits):
            return 0
        query_key, query_position, key, position = self.bits
        b, c, *size = shape
        h, w = (-(-side // self.q_stride) for side in size)
        i, j = (-(-side // self.kv_stride) for side in size)
        queries, keys = h * w, i * j
        distances = h * i + w * j
        asked = queries if self.bits != (False, False, True, False) or self.spatial_range >= 0 else 1
        an_image = c * c * ((query_key or query_position) * queries + (query_key or key) * keys)
        an_image += c * c * (keys + asked)  # value and project
        an_image += c * (query_key * queries * keys + query_position * queries * (i + j) + key * keys)
        an_image += c * asked * keys
        once = (query_position or position) * 2 * self.num_waves * c * distances + position * c * distances
        return b * an_image + once


def _padded(x: Float[Tensor, "b m h w d"], width: int, dtype: torch.dtype) -> Float[Tensor, "b m n width"]:
    return F.pad(x.flatten(2, 3), (0, width - x.shape[4])).to(dtype)
