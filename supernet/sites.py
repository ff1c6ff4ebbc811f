"""Where attention can go in a backbone: places found in the known families, or named by the user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from search_space.convolution import ConvolutionOperator
from search_space.errors import InputError, unknown
from search_space.grammar import FPN
from search_space.operator import Place


@dataclass(frozen=True, kw_only=True)
class Site:
    """A module whose output, or input, attention transforms, or a convolution that it stands for.

    Attributes:
        name: Dotted name of the module in the backbone.
        channels: Channels of what is transformed.
        before: Whether that is the module's input: no module follows the activation, which is shared.
    """

    name: str
    channels: int
    before: bool = False


PYRAMID = "FeaturePyramidNetwork"
"""Class of torchvision's feature pyramids."""

NORM_OF_PLACE: Mapping[str, Mapping[Place, str | tuple[str, ...]]] = {
    "BasicBlock": {"block": "bn2", "inner": "bn2"},
    "Bottleneck": {"block": "bn3", "inner": "bn2"},
    "WideBlock": {"block": "conv2", "inner": "conv2"},
    "SeparableBlock": {"block": ("bn1", "bn2"), "inner": "bn2"},
    "_InvertedResidual": {"block": "layers.7", "inner": "layers.4"},
}
"""Blocks by class name (ours, torchvision's and timm's agree): the norm each place follows, or what ends a
block that has its norms before its convolutions. SE-MobileNet's size asks for a module after both norms.
Where attention goes in MnasNet is our reading: no source that we have says it."""

CONVOLUTION_OF_BLOCK: Mapping[str, tuple[str, ...]] = {
    "BasicBlock": ("conv1",),
    "Bottleneck": ("conv2",),
    "WideBlock": ("conv1",),
    "SeparableBlock": ("conv2",),
    "_InvertedResidual": ("layers.6",),
    PYRAMID: ("inner_blocks", "layer_blocks"),
}
"""The convolution of a block that operators at the place "conv" stand for, or the modules that hold it:
the first 3x3 of a residual block, the pointwise one of MobileNet's, the one that ends MnasNet's, a pyramid's
lateral and output ones."""

READER_OF_ACTIVATION: Mapping[str, str] = {
    "BasicBlock": "conv2",
    "Bottleneck": "conv3",
    "WideBlock": "conv2",
    "SeparableBlock": "conv2",
    "_InvertedResidual": "layers.6",
}
"""The convolution that reads the activation of a block's (first) 3x3 convolution: the place "activation"."""


def find_sites(
    model: nn.Module, place: Place, *, stages: str | None = None, last_stages: int | None = None
) -> list[Site]:
    """All places of one kind in the blocks of a backbone, in the order of its modules.

    Args:
        model: The backbone, or a detector with one.
        place: The kind.
        stages: Digits of the stages to keep, "34" for layer3 and layer4; "fpn" for the feature pyramid, which
            is left out otherwise unless there is nothing else. Where no module is called a layer, stages go
            by stride, as those of a ResNet do: 1 has a quarter of the image's side, 2 an eighth, 0 a half.
        last_stages: Without `stages`, how many of the last stages to keep; None for all.

    Raises:
        InputError: If the backbone has no block of a known family, or no such stage.
    """
    sites = _all_sites(model, place)
    if not sites:
        raise InputError(
            f"{type(model).__name__} has no residual block that autola knows; "
            f"in Python, name the {'convolutions' if place == 'conv' else 'modules'} that attention should "
            f"{'stand for' if place == 'conv' else 'follow'}: attach(model, attention, sites=[...])"
        )
    stage_of = _stages(model, sites)
    known = sorted({stage for stage in stage_of.values() if stage not in ("", FPN)})
    if stages is not None:
        wanted = {stages} if stages == FPN else set(stages)
        if missing := sorted(wanted - set(stage_of.values())):
            has = ", ".join(sorted({stage for stage in stage_of.values() if stage})) or "none"
            raise InputError(f"{type(model).__name__} has no stage {missing[0]} to attach to; it has: {has}")
        return [site for site in sites if stage_of[site] in wanted]
    dropped = set(known[:-last_stages] if last_stages else ())
    if set(stage_of.values()) != {FPN}:
        dropped.add(FPN)
    return [site for site in sites if stage_of[site] not in dropped]


def _all_sites(model: nn.Module, place: Place) -> list[Site]:
    sites = list[Site]()
    for name, module in model.named_modules():
        kind = type(module).__name__
        if place == "activation":
            reader = READER_OF_ACTIVATION.get(kind, "")
            channels = getattr(_child(module, reader), "in_channels", None)
            if isinstance(channels, int):
                sites.append(
                    Site(name=f"{name}.{reader}" if name else reader, channels=channels, before=True)
                )
            continue
        if place == "block" and kind == PYRAMID:
            sites += _before_convolutions(module, name)
            continue
        if place == "conv":
            found = _convolutions_of_block(module)
        else:
            norms = NORM_OF_PLACE.get(kind, {}).get(place, ())
            found = [norms] if isinstance(norms, str) else norms
        for inner in found:
            child = _child(module, inner)
            channels = None if child is None else _channels(child)
            if channels is not None:
                sites.append(Site(name=f"{name}.{inner}" if name else inner, channels=channels))
    return sites


def _convolutions_of_block(module: nn.Module) -> list[str]:
    """Names of the convolutions of a block that the place "conv" is about."""
    held = CONVOLUTION_OF_BLOCK.get(type(module).__name__, ())
    return [inner for name in held if _child(module, name) for inner in _convolutions(module, name)]


def _child(module: nn.Module, name: str) -> nn.Module | None:
    """A module within another by its dotted name; None where there is none."""
    for part in name.split("."):
        child = module._modules.get(part)
        if child is None:
            return None
        module = child
    return module


def _before_convolutions(pyramid: nn.Module, name: str) -> list[Site]:
    """Right before every lateral and output convolution of a feature pyramid.

    Source: Zhu et al., "An Attention Module for Convolutional Neural Networks", ICANN 2021, where SE and CBAM
    stand in its detector (arXiv:2108.08205).
    """
    return [
        Site(
            name=f"{name}.{inner}" if name else inner,
            channels=int(pyramid.get_submodule(inner).in_channels),  # pyright: ignore[reportArgumentType]
            before=True,
        )
        for inner in _convolutions_of_block(pyramid)
    ]


def _convolutions(module: nn.Module, name: str) -> list[str]:
    """Names of the convolutions in a child, itself included, and of what stands for them."""
    child = module.get_submodule(name)
    if isinstance(child, nn.Conv2d | ConvolutionOperator):
        return [name]
    return [inner for held, _ in child.named_children() for inner in _convolutions(module, f"{name}.{held}")]


def _stages(model: nn.Module, sites: Sequence[Site]) -> dict[Site, str]:
    """The stage of every site: its digit, "fpn" in a feature pyramid, "" where nothing tells."""
    by_name = {site: _stage(site.name) for site in sites}
    if any(by_name.values()):
        return by_name
    halvings, of_module = 0, dict[str, int]()
    for name, module in model.named_modules():  # in the order in which such networks run
        if isinstance(module, nn.Conv2d) and module.stride[0] == 2:
            halvings += 1
        of_module[name] = halvings
    return {site: str(of_module[site.name] - 1) for site in sites}


def _stage(name: str) -> str:
    parts = name.split(".")
    if FPN in parts or parts[0] in CONVOLUTION_OF_BLOCK[PYRAMID]:
        return FPN
    stage = next((re.fullmatch(r"layer(\d)", part) for part in parts if part.startswith("layer")), None)
    return stage[1] if stage else ""


def convolution_at(model: nn.Module, site: Site, operator: str) -> nn.Conv2d:
    """The plain convolution at a place.

    Raises:
        InputError: If there is something else.
    """
    module = model.get_submodule(site.name)
    if isinstance(module, nn.Conv2d):
        return module
    convolutions = [name for name, other in model.named_modules() if isinstance(other, nn.Conv2d)]
    close = difflib.get_close_matches(site.name, convolutions, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise InputError(
        f"{operator} stands for a convolution, and {site.name!r} is a {type(module).__name__}{hint}"
    )


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
        if isinstance(modules[name], nn.Linear):
            raise InputError(f"{name!r} is a Linear: it gives no map that attention could transform")
        channels = names[name] if isinstance(names, Mapping) else _channels(modules[name])
        if channels is None:
            raise InputError(
                f"the channels after {name!r} ({type(modules[name]).__name__}) are not known; "
                f"give them: sites={{{name!r}: channels}}"
            )
        told = _channels(modules[name])
        if told is not None and channels != told:
            raise InputError(f"{name!r} gives {told} channels, not {channels}")
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
    mean = getattr(module, "running_mean", None)  # all that torchvision's frozen norms have
    return len(mean) if isinstance(mean, Tensor) else None
