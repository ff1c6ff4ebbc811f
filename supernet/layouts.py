"""Attention where a module gives no map of (b, c, h, w): maps with channels last, and tokens."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from foundation.errors import InputError
from search_space.operator import Operator

Layout = Literal["first", "last", "tokens"]
"""Where the channels are: maps (b, c, h, w), maps (b, h, w, c), or tokens (b, n, c)."""

FIRST = (nn.Conv2d, nn.ConvTranspose2d, _NormBase, nn.GroupNorm)
"""Modules whose maps have their channels first, whatever their size."""


def layer_norm_width(module: nn.Module) -> int | None:
    """Channels of what a layer norm over the last dimension gives; None for any other module."""
    shape = module.normalized_shape if isinstance(module, nn.LayerNorm) else ()
    return shape[0] if len(shape) == 1 else None


def layout_of(value: Tensor, channels: int, module: nn.Module, place: str) -> Layout:
    """Where the channels are in what a module gives.

    Args:
        value: What it gives.
        channels: Number of channels that attention was built for.
        module: The module; where both the second and the last dimension have that many, one with a layer norm
            in it may mean either.
        place: Its name, for messages.

    Raises:
        InputError: If the value is neither a batch of maps nor of tokens with these channels.
    """
    shape = [size if isinstance(size, int) else None for size in value.shape]  # channels are never free
    if len(shape) == 4 and shape[1] == channels:
        norms = [child for child in module.modules() if isinstance(child, nn.LayerNorm)]
        if shape[3] == channels and norms:
            raise InputError(
                f"{place!r} gives {tuple(shape)}: its channels may be first or last; pass images of another "
                "size first, or attach to a module inside it"
            )
        return "first"
    if len(shape) == 4 and shape[3] == channels:
        return "last"
    if len(shape) == 3 and shape[2] == channels:
        return "tokens"
    raise InputError(
        f"{place!r} gives {tuple(value.shape)}: no batch of maps (b, {channels}, h, w), maps with channels "
        f"last or of tokens (b, n, {channels}), which is what attention reads"
    )


def check_tokens(attention: nn.Module, text: str, place: str) -> None:
    """Refuses tokens for attention to which the order of positions matters.

    Raises:
        InputError: If it does.
    """
    if not ignores_order(attention):
        raise InputError(
            f"{place!r} gives tokens, which are in no map, and {text} reads neighbours in one; se, eca and "
            "simam take tokens"
        )


def ignores_order(attention: nn.Module) -> bool:
    """Whether attention treats positions alike, wherever they are."""
    if isinstance(attention, Operator):
        return attention.ignores_order
    children = list(attention.children())  # of a chain, or of what starts as the identity
    return bool(children) and all(ignores_order(child) for child in children)


def through(attention: nn.Module, value: Tensor, layout: Layout) -> Tensor:
    """Passes a value through attention as a map (b, c, h, w), tokens as a map of one column, and back."""
    if layout == "last":
        return attention(value.movedim(3, 1)).movedim(1, 3)
    if layout == "tokens":
        return attention(value.transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2)
    return attention(value)
