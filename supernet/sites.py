"""Where attention can go in a backbone: places found in the known families, or named by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from search_space.errors import InputError, unknown
from search_space.operator import Place


@dataclass(frozen=True, kw_only=True)
class Site:
    """A module whose output, or input, attention transforms.

    Attributes:
        name: Dotted name of the module in the backbone.
        channels: Channels of what is transformed.
        before: Whether that is the module's input: no module follows the activation, which is shared.
    """

    name: str
    channels: int
    before: bool = False


NORM_OF_PLACE: Mapping[str, Mapping[Place, str]] = {
    "BasicBlock": {"block": "bn2", "inner": "bn2"},
    "Bottleneck": {"block": "bn3", "inner": "bn2"},
}
"""Residual blocks by class name (ours, torchvision's and timm's agree): the norm each place follows."""

READER_OF_ACTIVATION: Mapping[str, str] = {"BasicBlock": "conv2", "Bottleneck": "conv3"}
"""The convolution that reads the activation of a block's (first) 3x3 convolution."""


def find_sites(model: nn.Module, place: Place) -> list[Site]:
    """All places of one kind in the residual blocks of a backbone, in the order of its modules.

    Raises:
        InputError: If the backbone has no block of a known family.
    """
    sites = list[Site]()
    for name, module in model.named_modules():
        if place == "activation":
            reader = READER_OF_ACTIVATION.get(type(module).__name__, "")
            conv = getattr(module, reader, None)
            if isinstance(conv, nn.Conv2d):
                sites.append(Site(name=f"{name}.{reader}", channels=conv.in_channels, before=True))
            continue
        norms = NORM_OF_PLACE.get(type(module).__name__)
        if norms is not None and hasattr(module, norms[place]):
            norm = norms[place]
            channels = getattr(getattr(module, norm), "num_features", None)
            if isinstance(channels, int):
                sites.append(Site(name=f"{name}.{norm}", channels=channels))
    if not sites:
        raise InputError(
            f"{type(model).__name__} has no residual block that autola knows; "
            "name the modules that attention should follow (sites=[...])"
        )
    return sites


def named_sites(model: nn.Module, names: Sequence[str] | Mapping[str, int]) -> list[Site]:
    """Places named by the user.

    Args:
        model: The backbone.
        names: Dotted module names; a mapping gives the channels where the module does not tell them.

    Raises:
        InputError: If there is no such module (close matches are named), it is named twice, or its
            channels are not known.
    """
    if isinstance(names, str):
        raise InputError(f"sites is a list of names: sites=[{names!r}]")
    modules = dict(model.named_modules())
    sites = list[Site]()
    for name in names:
        if name not in modules or not name:
            raise unknown("place", name, [known for known in modules if known])
        if any(name == site.name for site in sites):
            raise InputError(f"place {name!r} is named twice; chain attentions as in 'se+hoga' instead")
        channels = names[name] if isinstance(names, Mapping) else _channels(modules[name])
        if channels is None:
            raise InputError(
                f"the channels after {name!r} ({type(modules[name]).__name__}) are not known; "
                f"give them: sites={{{name!r}: channels}}"
            )
        if channels < 1:
            raise InputError(f"{channels} channels after {name!r}: give a positive number")
        sites.append(Site(name=name, channels=channels))
    if not sites:
        raise InputError("no places were named")
    return sites


def _channels(module: nn.Module) -> int | None:
    if isinstance(module, nn.Sequential) and len(module):
        return _channels(module[-1])
    for attribute in ("out_channels", "num_features", "num_channels"):
        value = getattr(module, attribute, None)
        if isinstance(value, int):
            return value
    return None
