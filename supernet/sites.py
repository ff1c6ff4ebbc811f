"""Sites, where attention can go in a backbone: found in the known families, or named by the user.

A site is one module of one network; its place is the kind of site within a block, such as "inner".
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from foundation.errors import InputError, unknown
from search_space.convolution import ConvolutionOperator
from search_space.grammar import FPN
from search_space.operator import Place
from supernet.attachable import check_scripted
from supernet.channels import channels_after, child_at
from supernet.families import BlockFamily, class_name, family_of, namesakes
from supernet.layouts import FIRST, layer_norm_width
from supernet.structure import NORMS, structural_families, trace

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A module whose output, or input, attention transforms, or a convolution that it stands for.

    Attributes:
        name: Dotted name of the module in the backbone.
        channels: Channels of what is transformed.
        before: Whether that is the module's input: no module follows the activation, which is shared.
        is_map: Whether it is a map (b, c, h, w) for certain; otherwise the first pass shows what it is.
    """

    name: str
    channels: int
    before: bool = False
    is_map: bool = True


def find_sites(
    model: nn.Module, place: Place, *, stages: str | None = None, last_stages: int | None = None
) -> list[Site]:
    """All sites of one place in the blocks of a backbone, in the order of its modules.

    Args:
        model: The backbone, or a detector with one.
        place: Where in a block the sites are.
        stages: Digits of the stages to keep, "34" for layer3 and layer4; "fpn" for the feature pyramid, which
            is left out otherwise unless there is nothing else. Where no module is called a layer, stages go
            by stride, as those of a ResNet do: 1 has a quarter of the image's side, 2 an eighth, 0 a half.
        last_stages: Without `stages`, how many of the last stages to keep; None for all.

    Raises:
        InputError: If the backbone has no block of a known family, or no such stage.
    """
    families = {name: family for name, module in model.named_modules() if (family := family_of(module))}
    sites = _all_sites(model, place, families)
    others = namesakes(model)
    if others or not sites:
        found = structural_families(model)
        sites = _all_sites(model, place, found | families)
        missed = [
            name
            for name, module in model.named_modules()
            if name not in found and class_name(module) in others and trace(module) is None
        ]
        if missed or not sites:
            raise _nothing_found(model, place, missed)
        _report(model, found)
    stage_of = stages_of(model, sites)
    known = sorted({stage for stage in stage_of.values() if stage not in ("", FPN)})
    if stages is not None:
        wanted = {stages} if stages == FPN else set(stages)
        if missing := sorted(wanted - set(stage_of.values())):
            has = ", ".join(sorted({stage for stage in stage_of.values() if stage})) or "none"
            raise InputError(f"{type(model).__name__} has no stage {missing[0]} to attach to; it has: {has}")
        return [site for site in sites if stage_of[site] in wanted]
    dropped = set(known[:-last_stages] if last_stages else ())
    if last_stages and known and "" in stage_of.values():
        if len(known) < last_stages:
            lost = next(site.name for site in sites if not stage_of[site])
            raise InputError(
                f"{type(model).__name__} has no last {last_stages} stages: {lost!r} is in none, and the "
                f"others are called {', '.join(known)}; give [stages=...] or sites=[...]"
            )
        dropped.add("")
    if set(stage_of.values()) != {FPN}:
        dropped.add(FPN)
    return [site for site in sites if stage_of[site] not in dropped]


def _nothing_found(model: nn.Module, place: Place, missed: Sequence[str]) -> InputError:
    """The error for a network whose blocks nobody knows, with the nearest that one could name."""
    kind, verb = ("convolutions", "stand for") if place == "conv" else ("modules", "follow")
    lacks, own = "has no residual block that autola knows, or finds by what it computes", ""
    if missed:
        cls = class_name(model.get_submodule(missed[0]))
        lacks = f"has blocks of {cls}, which autola does not know and cannot trace ({missed[0]!r})"
        own = f", or say where they take it: autola.register_blocks({cls.rpartition('.')[2]}, ...)"
    wanted = nn.Conv2d if place == "conv" else (*NORMS, nn.Conv2d)
    near = _ends([(name, module) for name, module in model.named_modules() if isinstance(module, wanted)])
    those = f", such as {', '.join(map(repr, near[-3:]))}" if near else ""
    return InputError(
        f"{type(model).__name__} {lacks}; in Python, name the {kind} that attention should {verb}{those}: "
        f"attach(model, attention, sites=[...]){own}"
    )


def _ends(modules: Sequence[tuple[str, nn.Module]]) -> list[str]:
    """Names of the modules after which the number of channels changes, as it does at the end of a stage."""
    widths = [channels_after(module) for _, module in modules]
    return [
        name for (name, _), own, after in zip(modules, widths, [*widths[1:], None]) if name and own != after
    ]


_reported = set[str]()


def _report(model: nn.Module, found: Mapping[str, BlockFamily]) -> None:
    """Says once for each kind of network what was found in it by what its blocks compute."""
    kinds = dict[str, list[str]]()
    for name, family in found.items():
        kinds.setdefault(type(model.get_submodule(name)).__name__, []).append(f"{name}.{family.block[0]}")
    shown = ", ".join(f"{len(names)} {kind} ({names[0]} ...)" for kind, names in kinds.items())
    text = (
        f"{type(model).__name__}: blocks were found by what they compute: {shown}; autola.attached(model) "
        "lists the sites, sites=[...] or autola.register_blocks says otherwise"
    )
    if text not in _reported:
        _reported.add(text)
        log.warning(text)


def _all_sites(model: nn.Module, place: Place, families: Mapping[str, BlockFamily]) -> list[Site]:
    sites = list[Site]()
    for name, module in model.named_modules():
        family = families.get(name)
        if family is None:
            continue
        prefix = f"{name}." if name else ""
        if place == "block" and family.is_pyramid:
            sites += _before_convolutions(module, name, family)
        elif place == "activation":
            channels = getattr(child_at(module, family.activation), "in_channels", None)
            if family.activation and isinstance(channels, int):
                sites.append(Site(name=prefix + family.activation, channels=channels, before=True))
        else:
            parts = _convolutions_of_block(module, family) if place == "conv" else family.followed(place)
            for part in parts:
                child = child_at(module, part)
                channels = None if child is None else channels_after(child)
                if channels is not None:
                    sites.append(Site(name=prefix + part, channels=channels))
    return sites


def _convolutions_of_block(module: nn.Module, family: BlockFamily) -> list[str]:
    """Names of the convolutions of a block that are sites of the place "conv"."""
    return [inner for name in family.conv if child_at(module, name) for inner in _convolutions(module, name)]


def _before_convolutions(pyramid: nn.Module, name: str, family: BlockFamily) -> list[Site]:
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
        for inner in _convolutions_of_block(pyramid, family)
    ]


def _convolutions(module: nn.Module, name: str) -> list[str]:
    """Names of the convolutions in a child, itself included, and of what stands for them."""
    child = module.get_submodule(name)
    if isinstance(child, nn.Conv2d | ConvolutionOperator):
        return [name]
    return [inner for held, _ in child.named_children() for inner in _convolutions(module, f"{name}.{held}")]


def stages_of(model: nn.Module, sites: Sequence[Site]) -> dict[Site, str]:
    """The stage of every site: its digit, "fpn" in a feature pyramid, "" where no name or stride shows it."""
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
    if FPN in parts or parts[0] in ("inner_blocks", "layer_blocks"):
        return FPN
    stages = (re.fullmatch(r"(?:layer|stage)(\d)", part) for part in parts)
    return next((stage[1] for stage in stages if stage), "")


def convolution_at(model: nn.Module, site: Site, operator: str) -> nn.Conv2d:
    """The plain convolution at a site.

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
    """The sites that the user names.

    Args:
        model: The backbone.
        names: Dotted module names; a mapping gives the channels where the module does not show them.

    Raises:
        InputError: If there is no such module (close matches are named), it is named twice, or its
            channels are not known.
    """
    if isinstance(names, str):
        raise InputError(f"sites is a list of names: sites=[{names!r}]")
    modules = dict(model.named_modules(remove_duplicate=False))
    sites = list[Site]()
    for name in names:
        if name not in modules or not name:
            raise unknown("site", name, [known for known in modules if known])
        if twice := next((site.name for site in sites if modules[site.name] is modules[name]), None):
            also = "" if name == twice else f", also as {twice!r}"
            raise InputError(f"site {name!r} is named twice{also}; chain attentions as in 'se+hoga' instead")
        check_scripted(modules[name], repr(name))
        if isinstance(modules[name], nn.Linear):
            raise InputError(f"{name!r} is a Linear: it gives no map that attention could transform")
        given = channels_after(modules[name]) or layer_norm_width(modules[name])
        channels = names[name] if isinstance(names, Mapping) else given
        if channels is None:
            raise InputError(
                f"the channels after {name!r} ({type(modules[name]).__name__}) are not known; "
                f"give them: sites={{{name!r}: channels}}"
            )
        if given is not None and channels != given:
            raise InputError(f"{name!r} gives {given} channels, not {channels}")
        if channels < 1:
            raise InputError(f"{channels} channels after {name!r}: give a positive number")
        is_map = isinstance(modules[name], FIRST) or family_of(modules[name]) is not None
        sites.append(Site(name=name, channels=channels, is_map=is_map))
    if not sites:
        raise InputError("no sites were named")
    return sites
