"""Parameters and multiply-accumulates, counted from what a network is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.cell import Cell
from search_space.convolution import ConvolutionOperator
from search_space.deployed import DeployedCell
from search_space.operator import Operator
from supernet.hooks import CHILD, INPUT_CHILD
from supernet.map_sizes import image_for, outline, refused_images

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def params(model: nn.Module) -> int:
    """Number of weights, shared ones once; buffers are not weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of the convolutions and linear layers, one image, in evaluation mode.

    Counted at the modules and not at the kernels that run (torch's FlopCounterMode, which agrees as
    long as every layer runs by itself): a cell that batches its operators, or a fused kernel, costs
    what its definition says. An outline of the model is passed through (see `map_sizes.outline`), and the
    model stays as it is. Norms, activations and other multiplications do not count.

    A module that does not compute through its `Conv2d` and `Linear` children, or has matrix products
    besides them, says what it costs by a method

        def macs(self, shape: torch.Size) -> int

    of the shape (b, c, h, w) of its input. It is counted in place of everything in the module. In a
    cell every edge's operator is counted alone, on the shape of a group.

    Where what a network does depends on what is in the image, as in a detector that chooses boxes, it has a
    method `raw(images)`, which runs its layers alone and is counted instead.

    Args:
        model: The network, on any device, also meta.
        input_shape: (channels, height, width) of the image.

    Raises:
        InputError: If a size is not positive, or the network cannot take this input.
        TypeError: If an operator has layers that it does not call and has no method `macs`.
    """
    shape = torch.Size((1, *check_shape(input_shape)))
    twin = outline(model, input_shape)
    for module in twin.modules():
        if isinstance(module, DeployedCell):
            module.native = None  # as many as its other form, whose layers are seen
    with torch.inference_mode(), refused_images(model, input_shape):
        return _count(twin, shape)


def check_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Returns (channels, height, width).

    Raises:
        InputError: If these are not three positive numbers.
    """
    if len(input_shape) != 3 or any(size < 1 for size in input_shape):
        given = " ".join(map(str, input_shape))
        raise InputError(f"input shape {given!r} is not channels, height and width, all positive: 3 32 32")
    channels, height, width = input_shape
    return channels, height, width


def _count(module: nn.Module, shape: torch.Size) -> int:
    if count := _own_count(module):
        return count(shape)
    if isinstance(module, Cell):
        return _count_cell(module, shape)
    total = 0
    met = set[nn.Module]()

    def add(layer: nn.Module, number: int) -> None:
        nonlocal total
        total += number
        met.add(layer)

    def after(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        add(layer, _of_layer(layer, args[0], output))

    def instead(layer: nn.Module, x: Tensor) -> Tensor:
        add(layer, _count(layer, x.shape))
        return x

    watched = list(_watched(module, None))
    handles = []
    for layer, _ in watched:
        if isinstance(layer, Operator) and not isinstance(layer, ConvolutionOperator):
            # Such an operator keeps the shape of its input, and its kernels may not run on meta.
            layer.forward = partial(instead, layer)
        else:
            handles.append(layer.register_forward_hook(after))
    run = getattr(module, "raw", module)
    run(image_for(module, shape[1:]))
    for handle in handles:
        handle.remove()
    for layer, owner in watched:
        if owner is not None and layer not in met:
            raise TypeError(
                f"{type(owner).__name__} does not call its {type(layer).__name__}, so its cost is not seen; "
                f"give it a method macs(shape) -> int"
            )
    return total


def _count_cell(cell: Cell, shape: torch.Size) -> int:
    b, c, *size = shape
    group = torch.Size((b, c // cell.num_nodes, *size))
    total = _count(cell.group_gate, group) + _count(cell.output_gate, shape)
    if cell.fuse is not None:
        total += _count(cell.fuse, torch.Size((b, c + c // cell.num_nodes, *size)))
    if count := _own_count(cell.edges):
        return total + count(group)
    operators = getattr(cell.edges, "operators", None)
    if not isinstance(operators, nn.ModuleDict):
        raise TypeError(
            f"{type(cell.edges).__name__} needs `operators`, a ModuleDict with what sits on every edge, "
            f"or a method macs(shape) -> int"
        )
    for on_edge in operators.values():
        mixed = on_edge if isinstance(on_edge, nn.ModuleList) else [on_edge]
        total += sum(_count(module, group) for module in mixed)
    return total


def _watched(module: nn.Module, owner: Operator | None) -> Iterator[tuple[nn.Module, Operator | None]]:
    """Pairs (what is counted as a whole, the operator it is in) inside a module."""
    owner = module if isinstance(module, Operator) else owner
    if _is_layer(module):
        yield module, owner
    for child in module.children():
        if isinstance(child, Cell) or _own_count(child):
            yield child, owner
            for name, attention in child.named_children():
                if name in (CHILD, INPUT_CHILD):  # which is not the child's own
                    yield from _watched(nn.Sequential(attention), owner)
        else:
            yield from _watched(child, owner)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, (*CONVOLUTIONS, *TRANSPOSED, nn.Linear))


def _of_layer(layer: nn.Module, x: Tensor, output: Any) -> int:
    if count := _own_count(layer):
        return count(x.shape)
    if isinstance(layer, CONVOLUTIONS):
        return output.numel() * layer.weight[0].numel()
    if isinstance(layer, TRANSPOSED):
        return x.numel() * layer.weight[0].numel()
    assert isinstance(layer, nn.Linear), f"{type(layer).__name__} is not counted"
    return output.numel() * layer.in_features


def _own_count(module: nn.Module) -> Callable[[torch.Size], int] | None:
    return cast("Callable[[torch.Size], int] | None", getattr(module, "macs", None))
