"""How large the maps of a network are, found by passing an outline of it through."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foundation.errors import InputError

MOST_PIXELS = 64 * 64
"""Pixels of an image up to which a network is passed through with its weights."""

MOST_WEIGHTS = 8_000_000
"""Weights of a network up to which it is passed through with them."""

Shape = tuple[int, tuple[int, int]]
"""The channels of a map, its height and width."""


def map_sizes(
    model: nn.Module, names: Collection[str], input_shape: Sequence[int]
) -> dict[str, tuple[int, int]]:
    """Height and width of the outputs of some modules; the largest where one is called several times.

    Args:
        model: Takes a batch of images; an outline of it is passed through, by `raw` where it has that (see
            `evaluators.cost.macs`).
        names: Dotted names of modules with maps (b, c, h, w) as outputs.
        input_shape: (channels, height, width) of an image.

    Raises:
        InputError: If the network cannot take such an image, or does not use a module.
    """
    return {name: _largest(seen) for name, seen in passed_maps(model, names, input_shape).items()}


def _largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    heights, widths = zip(*sizes)
    return max(heights), max(widths)


def passed_maps(
    model: nn.Module, names: Collection[str], input_shape: Sequence[int]
) -> dict[str, list[tuple[int, int]]]:
    """Height and width of the outputs of some modules, one pair for every call; see `map_sizes`."""
    twin = outline(model, input_shape)
    sizes = dict[str, list[tuple[int, int]]]()

    def record(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor):
            raise InputError(f"{name!r} gives a {type(output).__name__}, which has no height and width")
        height, width = output.shape[-2:]
        sizes.setdefault(name, []).append((height, width))

    for name in names:
        twin.get_submodule(name).register_forward_hook(partial(record, name))
    with torch.inference_mode(), refused_images(model, input_shape):
        getattr(twin, "raw", twin)(image_for(twin, input_shape))
    if missing := [name for name in names if name not in sizes]:
        raise InputError(f"{type(model).__name__} does not use {missing[0]!r}, so its map has no size")
    return sizes


@contextmanager
def refused_images(model: nn.Module, input_shape: Sequence[int]) -> Iterator[None]:
    """Turns what torch says about images of a wrong shape into a line for the user."""
    try:
        yield
    except NotImplementedError as error:
        raise InputError(
            f"the maps of {type(model).__name__} have sizes that only computing them shows; "
            "give the side of the map: aa[size=14]"
        ) from error
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        sizes = " x ".join(map(str, input_shape))
        raise InputError(f"{type(model).__name__} cannot take images of {sizes}: {reason}") from error


def is_small(input_shape: Sequence[int]) -> bool:
    """Whether images are so small that computing them is sooner done than loading what spares it."""
    _, height, width = input_shape
    return height * width <= MOST_PIXELS


def outline(model: nn.Module, input_shape: Sequence[int]) -> nn.Module:
    """A copy in evaluation mode to pass an image through for what it says of shapes alone.

    Its weights are left out, and nothing is computed; but what torch loads first for that, the decompositions
    of its compiler, takes seconds. A small network on the CPU keeps its weights and is done in milliseconds.
    """
    weights = list(model.parameters())
    on_cpu = all(weight.device.type == "cpu" for weight in weights)
    few = sum(weight.numel() for weight in weights) <= MOST_WEIGHTS
    small = is_small(input_shape) and on_cpu and few
    return (copy.deepcopy(model) if small else _without_weights(model)).eval()


def image_for(twin: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """One image of zeros, of the type and on the device of an outline's weights."""
    weight = next((weight for weight in twin.parameters() if weight.is_floating_point()), None)
    like = torch.empty(0, device="meta") if weight is None else weight
    return torch.zeros((1, *input_shape), dtype=like.dtype, device=like.device)


def _without_weights(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are of the meta device."""
    memo = dict[int, Any]()
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad
        )
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)
