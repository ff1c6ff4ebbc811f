"""The two layouts of a feature map: channels side by side at a position, or planes side by side."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from search_space.kernels import is_transformed, steps_aside


def is_channels_last(x: Float[Tensor, "b c h w"]) -> bool:
    """Whether the channels of a position lie side by side."""
    return x.stride(1) == 1 and not x.is_contiguous()


def to_planes(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The map with each plane contiguous; its gradient comes back in the layout that the map has."""
    planes: Tensor = _ToPlanes.apply(x) if is_channels_last(x) and not steps_aside(x) else x.contiguous()
    return planes


def to_channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The map with its channels side by side; its gradient comes back as planes."""
    if steps_aside(x):
        return in_channels_last(x)
    last: Tensor = _ToChannelsLast.apply(x)
    return last


def in_channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The map with its channels side by side; as it is in `torch.func`, whose vmap knows no layouts."""
    return x if is_transformed() else x.contiguous(memory_format=torch.channels_last)


class _ToPlanes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].contiguous(memory_format=torch.channels_last)


class _ToChannelsLast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].contiguous()
