"""A feature map with the statistics that its readers share."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class State:
    """A feature map whose pooled statistics are computed once, by whoever asks first.

    Args:
        x: Feature map (b, c, h, w).
    """

    __slots__ = ("_channel_pool", "_spatial_max", "_spatial_mean", "x")

    def __init__(self, x: Float[Tensor, "b c h w"]) -> None:
        self.x = x
        self._channel_pool: Tensor | None = None
        self._spatial_mean: Tensor | None = None
        self._spatial_max: Tensor | None = None

    @property
    def channel_pool(self) -> Float[Tensor, "b 2 h w"]:
        """Maximum and mean over the channels, in this order."""
        if self._channel_pool is None:
            # max(dim) sends its gradient to one index; amax would spread it over ties.
            maximum = self.x.max(1, keepdim=True).values
            self._channel_pool = torch.cat((maximum, self.x.mean(1, keepdim=True)), 1)
        return self._channel_pool

    @property
    def spatial_mean(self) -> Float[Tensor, "b c"]:
        """Mean over the positions."""
        if self._spatial_mean is None:
            self._spatial_mean = self.x.mean((2, 3))
        return self._spatial_mean

    @property
    def spatial_max(self) -> Float[Tensor, "b c"]:
        """Maximum over the positions."""
        if self._spatial_max is None:
            self._spatial_max = self.x.flatten(2).max(2).values
        return self._spatial_max
