"""How large the maps of a network are, found without computing anything."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from search_space.errors import InputError


def map_sizes(
    model: nn.Module, names: Collection[str], input_shape: Sequence[int]
) -> dict[str, tuple[int, int]]:
    """Height and width of the outputs of some modules; the largest where one is called several times.

    Args:
        model: Takes a batch of images; a copy on the meta device is passed through.
        names: Dotted names of modules with maps (b, c, h, w) as outputs.
        input_shape: (channels, height, width) of an image.

    Raises:
        InputError: If the network cannot take such an image, or does not use a module.
    """
    twin = meta_copy(model).eval()
    sizes = dict[str, tuple[int, int]]()

    def record(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor):
            raise InputError(f"{name!r} gives a {type(output).__name__}, which has no height and width")
        h, w = output.shape[-2:]
        before = sizes.get(name, (0, 0))
        sizes[name] = (max(h, before[0]), max(w, before[1]))

    for name in names:
        twin.get_submodule(name).register_forward_hook(partial(record, name))
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.get_default_dtype())
    with torch.inference_mode(), refused_images(model, input_shape):
        twin(torch.empty((1, *input_shape), dtype=dtype, device="meta"))
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
            f"the maps of {type(model).__name__} have sizes that only computing tells; "
            "give the side of the map: aa[size=14]"
        ) from error
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        sizes = " x ".join(map(str, input_shape))
        raise InputError(f"{type(model).__name__} cannot take images of {sizes}: {reason}") from error


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy without the weights: parameters and buffers are of the meta device."""
    memo = dict[int, Any]()
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad
        )
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)
