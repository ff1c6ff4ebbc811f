"""The number of channels that a module gives, by what it is."""

from __future__ import annotations

from torch import Tensor, nn

from supernet.families import family_of
from supernet.structure import is_composite

RESHAPING = (nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.Fold, nn.Unfold)
"""Modules without weights after which the channels are others."""


def channels_after(module: nn.Module) -> int | None:
    """Channels of what a module gives, as far as the module shows them; None where it does not."""
    for attribute in ("out_channels", "num_features", "num_channels"):
        value = getattr(module, attribute, None)
        if isinstance(value, int):
            return value
    if is_composite(module):
        return channels_after(next(module.children()))
    mean = getattr(module, "running_mean", None)  # all that torchvision's frozen norms have
    if isinstance(mean, Tensor):
        return len(mean)
    family = family_of(module)
    if family is not None and family.block:
        last = child_at(module, family.block[-1])
        return None if last is None else channels_after(last)
    if isinstance(module, nn.Sequential):
        for child in reversed(module):
            channels = channels_after(child)
            if (
                channels is not None
                or isinstance(child, RESHAPING)
                or next(child.parameters(), None) is not None
            ):
                return channels
    return None


def child_at(module: nn.Module, name: str) -> nn.Module | None:
    """A module within another by its dotted name; None where there is none."""
    for part in name.split("."):
        child = module._modules.get(part)
        if child is None:
            return None
        module = child
    return module
