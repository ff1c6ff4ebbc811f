"""What operators stand on, in torch's own words alone: for files that leave the project.

The project's own state, norm and base classes compute the same, to the last bit on maps of torch's usual
layout, and more besides: they are traced, registered and faster on other layouts. `autola eject` puts what is
here in their stead.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class State:
    """One or more channel groups whose pooled statistics are computed once, by whoever asks first.

    Args:
        x: Feature map (b, g c, h, w).
        num_groups: Number of channel groups g.
    """

    def __init__(self, x: Float[Tensor, "b c h w"], num_groups: int = 1) -> None:
        self.x = x
        self.num_groups = num_groups
        self._kept: dict[str, Tensor] = {}

    def like(self, x: Float[Tensor, "b c h w"]) -> State:
        """A state of one group."""
        return State(x)

    def groups(self) -> list[State]:
        """Every channel group as a state of its own."""
        if self.num_groups == 1:
            return [self]
        return [State(x) for x in self.x.chunk(self.num_groups, 1)]

    @property
    def channel_pool(self) -> Float[Tensor, "b 2 h w"]:
        """Maximum and mean over the channels, in this order."""
        if "channel_pool" not in self._kept:
            self._kept["channel_pool"] = channel_pool(self.x)
        return self._kept["channel_pool"]

    @property
    def spatial_mean(self) -> Float[Tensor, "b c"]:
        """Mean over the positions."""
        if "spatial_mean" not in self._kept:
            self._kept["spatial_mean"] = self.x.mean((2, 3))
        return self._kept["spatial_mean"]

    @property
    def spatial_max(self) -> Float[Tensor, "b c"]:
        """Maximum over the positions; its gradient goes to the first of equals."""
        if "spatial_max" not in self._kept:
            self._kept["spatial_max"] = spatial_max(self.x)
        return self._kept["spatial_max"]


class Operator(nn.Module):
    """An attention operator: reads a state and returns features of the same shape.

    Usable alone as a module: (b, c, h, w) in and out.
    """

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        """The operator applied to a state."""
        raise NotImplementedError(f"{type(self).__name__} has to define read")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.read(State(x))


class TimmOperator(Operator):
    """Passes the feature map through a module of timm, which is its child `module`.

    Args:
        name: The name of the module in timm's `attn_layer`.
        kind: Name of the class in `timm.layers`.
        channels: Channels of the input.
        options: What timm's class is built with.
    """

    def __init__(self, name: str, kind: str, channels: int, **options: Any) -> None:
        super().__init__()
        import timm.layers

        self.module = getattr(timm.layers, kind)(channels, **options)

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        return self.module(state.x)


def channel_pool(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2 h w"]:
    """Maximum and mean over the channels, in this order."""
    planes = x.contiguous().flatten(2)
    pool = torch.stack((planes.max(1).values, planes.mean(1)), 1).unflatten(2, x.shape[2:])
    if x.stride(1) == 1 and not x.is_contiguous():  # the layout of x is the one its readers are fast on
        pool = pool.contiguous(memory_format=torch.channels_last)
    return pool


def spatial_max(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
    """Maximum over the positions; its gradient goes to the first of equals."""
    return x.flatten(2).max(2).values
