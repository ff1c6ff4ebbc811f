"""A feature map with the statistics that its readers share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from search_space.kernels import pool_channels
from search_space.layout import in_channels_last, is_channels_last, to_planes


class State:
    """One or more channel groups whose pooled statistics are computed once, by whoever asks first.

    Statistics are per group: a state of g groups of c channels holds g independent maps side by side.

    Args:
        x: Feature map (b, g c, h, w), of any layout.
        num_groups: Number of channel groups g.
    """

    __slots__ = ("_channel_pool", "_planes", "_spatial_max", "_spatial_mean", "num_groups", "x")

    def __init__(self, x: Float[Tensor, "b c h w"], num_groups: int = 1) -> None:
        self.x = x
        self.num_groups = num_groups
        self._planes: Tensor | None = None
        self._channel_pool: Tensor | None = None
        self._spatial_mean: Tensor | None = None
        self._spatial_max: Tensor | None = None

    def like(self, x: Float[Tensor, "b c h w"]) -> State:
        """A state of one group whose statistics are computed as this one's are."""
        return type(self)(x)

    def groups(self) -> list[State]:
        """Every channel group as a state of its own."""
        if self.num_groups == 1:
            return [self]
        return [self.like(x) for x in self.x.chunk(self.num_groups, 1)]

    def repeat(self, times: int) -> State:
        """The single group of this state, once for every reader, its statistics computed once."""
        assert self.num_groups == 1, "only a single group can be repeated"
        return self if times == 1 else _Repeated(self, times)

    @property
    def planes(self) -> Float[Tensor, "b g c hw"]:
        """The map with each plane contiguous: the layout in which channels compare fast."""
        if self._planes is None:
            self._planes = to_planes(self.x).flatten(2).unflatten(1, (self.num_groups, -1))
        return self._planes

    @property
    def channel_pool(self) -> Float[Tensor, "b pools h w"]:
        """Maximum and mean over the channels of each group, in this order, group by group."""
        if self._channel_pool is None:
            pool = pool_channels(self.planes).unflatten(-1, self.x.shape[2:]).flatten(1, 2)
            if is_channels_last(self.x):
                pool = in_channels_last(pool)
            self._channel_pool = pool
        return self._channel_pool

    @property
    def spatial_mean(self) -> Float[Tensor, "b c"]:
        """Mean over the positions."""
        if self._spatial_mean is None:
            # Over this view the gradient comes out in the map's own layout.
            positions = self.x.permute(0, 2, 3, 1) if is_channels_last(self.x) else self.x
            self._spatial_mean = positions.mean((1, 2) if is_channels_last(self.x) else (2, 3))
        return self._spatial_mean

    @property
    def spatial_max(self) -> Float[Tensor, "b c"]:
        """Maximum over the positions; its gradient goes to the first of equals."""
        if self._spatial_max is None:
            self._spatial_max = F.adaptive_max_pool2d(self.x, 1).flatten(1)
        return self._spatial_max


class _Repeated(State):
    """A single group repeated side by side."""

    __slots__ = ("_once",)

    def __init__(self, once: State, times: int) -> None:
        super().__init__(torch.cat([once.x] * times, 1), times)
        self._once = once

    def like(self, x: Float[Tensor, "b c h w"]) -> State:
        return self._once.like(x)

    def groups(self) -> list[State]:
        return [self._once] * self.num_groups

    @property
    def planes(self) -> Float[Tensor, "b g c hw"]:
        return self._once.planes.expand(-1, self.num_groups, -1, -1)

    @property
    def channel_pool(self) -> Float[Tensor, "b pools h w"]:
        if self._channel_pool is None:
            self._channel_pool = torch.cat([self._once.channel_pool] * self.num_groups, 1)
        return self._channel_pool

    @property
    def spatial_mean(self) -> Float[Tensor, "b c"]:
        return self._once.spatial_mean.repeat(1, self.num_groups)

    @property
    def spatial_max(self) -> Float[Tensor, "b c"]:
        return self._once.spatial_max.repeat(1, self.num_groups)


def add_all(terms: Sequence[Float[Tensor, "*axes"]]) -> Float[Tensor, "*axes"]:
    """The sum of one or more maps, or of other tensors of one shape."""
    return sum(terms[1:], terms[0])
