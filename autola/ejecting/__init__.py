"""Attention as one file that needs torch alone: `autola eject`, `autola.eject`."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autola.ejecting.building import Builder, roots
from autola.ejecting.checking import digest, filled, maps, network_digest, results
from autola.ejecting.placing import Network, attach_in_groups, network_of
from autola.ejecting.writing import File, checked_shape
from evaluators.counting import check_shape, macs, params
from foundation.errors import InputError
from foundation.files import check_new_file, write_text
from search_space.attention import Attention, as_terms
from search_space.found_cell import FoundCell
from search_space.grammar import flat
from search_space.term import Term, label
from supernet.backbones import LARGEST_WIDTH, build_backbone, usual_images

MAP = (32, 32)
"""Height and width of the map that costs are counted on."""

LARGEST = 64
"""Largest side of the image that a network with attention is checked on."""


def eject(
    attention: Attention,
    *,
    channels: int | None = None,
    backbone: str | nn.Module | None = None,
    input_shape: Sequence[int] | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    out: str | Path | None = None,
) -> str:
    """Writes attention as one readable Python file that needs torch alone, and checks itself when it is run.

    The file holds the operators' own source without what belongs to the project, and what builds this
    attention: `build(channels)`, and with a backbone `attach(model)`. Its state dict has the keys of the
    project's module, its outputs and gradients are the same to the last bit in float64.

    Args:
        attention: In the grammar, a genotype, or what a search gave back.
        channels: Channels of the map that it is built for; with a backbone those of its sites.
        backbone: Registered name of the network, or the plain network itself, that `attach` is written for.
        input_shape: (channels, height, width) of the images of the network; None for the usual ones of a
            registered backbone.
        width: Channels of the first stage of a registered backbone; None for its own.
        num_classes: Outputs of a registered backbone; None for the usual ones.
        out: The file to write; None to write none.

    Returns:
        The text of the file.

    Raises:
        InputError: If the attention is unknown or none, the channels do not fit, its source is not at hand,
            or the file exists. Nothing is written then.
    """
    terms = as_terms(attention)
    path = None if out is None else Path(out)
    if path is not None:
        check_new_file(path)
    if not terms:
        raise InputError("none is the plain network: there is nothing to eject; name an attention, as se")
    if not flat(terms):
        raise InputError(f"nothing stands in {label(terms)}: there is nothing to eject")
    roots(flat(terms))  # refuses what no source can be taken from
    if backbone is None:
        if any(term.placement for term in terms):
            raise InputError(f"{label(terms)} says what stands at the sites of a network; give --backbone")
        if channels is None:
            raise InputError(
                "for how many channels? give --channels, or --backbone for all sites of a network"
            )
        if not 1 <= channels <= LARGEST_WIDTH:
            raise InputError(f"channels={channels} is not in 1 ... {LARGEST_WIDTH}")
        if input_shape is not None or width is not None or num_classes is not None:
            raise InputError("input, width and number of classes are a network's; give --backbone as well")
        text = _alone(terms, channels)
    else:
        if channels is not None:
            raise InputError("the channels are those of the backbone's sites; leave --channels out")
        with torch.random.fork_rng(devices=[]):
            text = _attached(terms, backbone, input_shape, width, num_classes)
    if path is not None:
        write_text(path, text)
    return text


def _alone(terms: tuple[Term, ...], channels: int) -> str:
    """The file of one module."""
    instead = [term for term in terms if term.place == "conv"]
    if instead and len(terms) > 1:
        raise InputError(
            f"{label(tuple(instead))} stands instead of a convolution, unlike the rest of {label(terms)}: "
            "they are not one module; eject each by itself, or all for a --backbone"
        )
    if chosen := next((term for term in terms if term.stages is not None), None):
        raise InputError(f"{label((chosen,))}: stages choose among the sites of a network; give --backbone")
    builder = Builder(name="build", terms=terms, channels=channels, on_convolution=bool(instead))
    module, (h, w) = _built(builder), MAP
    on_map = f"{macs(module, (channels, h, w)):,} multiply-accumulates on a map of {h} x {w}"
    cost = f"{params(module):,} weights; {on_map}"
    options = ["--channels", str(channels)]
    return _proved(File(terms=terms, given=terms, builders=[builder], cost=cost, options=options))


def _attached(
    terms: tuple[Term, ...],
    backbone: str | nn.Module,
    input_shape: Sequence[int] | None,
    width: int | None,
    num_classes: int | None,
) -> str:
    """The file of one module and where it stands in a network."""
    network: Network | None = None
    options = list[str]()
    if isinstance(backbone, str):
        usual_shape, usual_classes = usual_images(backbone)
        shape = check_shape(usual_shape if input_shape is None else input_shape)
        classes = usual_classes if num_classes is None else num_classes
        network = network_of(backbone, classes, shape[0], width)
        plain = build_backbone(backbone, num_classes=classes, in_channels=shape[0], width=width)
        name = backbone
        given = {"--input": input_shape, "--width": width, "--num-classes": num_classes}
        options = ["--backbone", name, *_as_options(given)]
    elif width is not None or num_classes is not None:
        raise InputError(f"{type(backbone).__name__} is built already; leave width and num_classes out")
    else:
        shape = None if input_shape is None else check_shape(input_shape)
        plain, name = copy.deepcopy(backbone), type(backbone).__name__
    model = copy.deepcopy(plain)
    groups = attach_in_groups(model, terms, shape)
    cost = f"{params(plain):,} weights grow to {params(model):,}"
    if shape is not None:
        sides = " x ".join(map(str, shape))
        cost += (
            f", {macs(plain, shape):,} multiply-accumulates to {macs(model, shape):,} on an image of {sides}"
        )
    file = File(
        terms=flat(terms),
        given=terms,
        builders=[group.builder for group in groups],
        cost=cost,
        options=options,
        groups=groups,
        backbone=name,
        network=network,
    )
    if shape is not None:
        file.network_shape = (1, shape[0], min(shape[1], LARGEST), min(shape[2], LARGEST))
    return _proved(file, plain, model)


def _as_options(given: Mapping[str, int | Sequence[int] | None]) -> Iterator[str]:
    """Options of a command with their values, but for those that were not given."""
    for name, value in given.items():
        if value is not None:
            yield name
            yield from map(str, [value] if isinstance(value, int) else value)


def _built(builder: Builder) -> nn.Module:
    """The project's own module."""
    try:
        with torch.random.fork_rng(devices=[]):
            modules = [term.build(builder.channels) for term in builder.terms]
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error):
            raise
        raise InputError(
            f"{label(builder.terms)} for {builder.channels} channels is larger than the memory"
        ) from None
    made = modules[0] if len(modules) == 1 else nn.Sequential(*modules)
    for part in made.modules():
        if isinstance(part, FoundCell):
            part.native = False  # a file has PyTorch's own operators, which are held to the last bit
    return made


def _proved(file: File, plain: nn.Module | None = None, model: nn.Module | None = None) -> str:
    """The text of a file that computes what the project does, with what it has to find when it is checked.

    Args:
        file: What it holds.
        plain: The network without attention, if it is for one.
        model: The same with attention.

    Raises:
        InputError: If it does not: an operator of the user's may do what a file cannot.
    """
    modules = [_built(builder) for builder in file.builders]
    shapes = [checked_shape(builder.channels) for builder in file.builders]
    file.digests = [digest(module, shape) for module, shape in zip(modules, shapes)]
    if file.network is not None and model is not None:
        file.network_digest = network_digest(model, file.network_shape)
    text = file.text()
    names, what = _names_of(text), f"{label(file.terms)} cannot be ejected: "
    with torch.random.fork_rng(devices=[]):
        for builder, module, shape, expected in zip(file.builders, modules, shapes, file.digests):
            other = names[builder.name]()
            if list(other.state_dict()) != list(module.state_dict()):
                raise InputError(f"{what}its file has other weights than it")
            ours, theirs = results(filled(module), shape), results(filled(other), shape)
            for (name, here), (_, there) in zip(ours, theirs):
                if not torch.equal(here, there):
                    raise InputError(f"{what}the {name} of its file is another")
            if found := names["faults"](other, shape, expected):
                raise InputError(f"{what}{found[0]}")
        if plain is not None and model is not None:
            _prove_attaching(file, names, plain, model, what)
    return text


def _prove_attaching(
    file: File, names: dict[str, Any], plain: nn.Module, model: nn.Module, what: str
) -> None:
    other = names["attach"](names["network"]() if file.network is not None else plain)
    if set(other.state_dict()) != set(model.state_dict()):
        raise InputError(f"{what}with it, {file.backbone} has other weights than with autola's")
    if file.network_shape:
        ours, theirs = (filled(one).eval()(maps(file.network_shape)) for one in (model, other))
        if isinstance(ours, torch.Tensor) and not torch.equal(ours, theirs):
            raise InputError(f"{what}with it, {file.backbone} gives another output than with autola's")


def _names_of(text: str) -> dict[str, Any]:
    """What a file defines. It is not left among Python's modules."""
    file = types.ModuleType("ejected")
    sys.modules[file.__name__] = file
    try:
        exec(compile(text, "ejected", "exec", dont_inherit=True), file.__dict__)
    finally:
        del sys.modules[file.__name__]
    return file.__dict__


__all__ = ["eject"]
