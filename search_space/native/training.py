"""A found cell that trains on the CPU as one operator: forward in one call, backward in another.

`autola::cell_training` normalises by the statistics of the batch and keeps the nodes of the cell and these
statistics alone; its backward pass computes the rest again. Second derivatives are those of
`search_space.native.explicit`. It is built once on a machine, like `autola::cell`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import is_
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors

from search_space.kernels import is_transformed
from search_space.native.explicit import explicit_cell
from search_space.native.operator import load_once
from search_space.norm import OperatorNorm
from search_space.operators.cbam import CBAM
from search_space.operators.separable import DilatedGate, SeparableGate
from search_space.operators.skip import Skip
from search_space.operators.spatial import DilatedSpatialGate, SeparableSpatialGate
from search_space.operators.squeeze_excite import AverageMaxExcite, SqueezeExcite

if TYPE_CHECKING:
    from search_space.cell import Cell

log = logging.getLogger(__name__)

Excite = SqueezeExcite | AverageMaxExcite

Weights = Callable[[], Tensor]
"""Gives weights as they are at a step, flat or not."""


class TrainingProgram:
    """What the operator reads of a cell in training mode.

    Args:
        numbers: As `search_space.native.program` has them, spatial layers dense and full ones separable.
        weights: What gives the weights, in the order of the numbers: two layers of a channel gate, each with
            its biases; kernels of a layer, then factors and summands of its norm.
        norms: The norms in that order.
        modules: The cell and all that it holds.
        is_known: Whether the operator knows every edge; it takes nothing otherwise.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        weights: Sequence[Weights],
        norms: Sequence[OperatorNorm],
        modules: Sequence[nn.Module],
        *,
        is_known: bool = True,
    ) -> None:
        self.is_known = is_known
        self.numbers = list(numbers)
        self.weights = tuple(weights)
        self.norms = tuple(norms)
        self.modules = tuple(modules)
        self.children = tuple(tuple(module._modules.values()) for module in modules)

    def is_of(self, cell: Cell) -> bool:
        """Whether the cell still holds the modules that this was made of."""
        # Once a step: without walking the cell, which takes longer than all else here.
        return self.modules[0] is cell and all(
            all(map(is_, module._modules.values(), children)) and len(module._modules) == len(children)
            for module, children in zip(self.modules, self.children)
        )

    def takes(self, x: Float[Tensor, "b c h w"]) -> bool:
        """Whether the operator is here and trains on such maps as the cell now stands.

        On the CPU, in float32 or float64, outside of autocast, compilers and `torch.func`; where all norms
        train and keep statistics, of several values a channel; and no part of the cell has hooks.
        """
        return (
            self.is_known
            and x.device.type == "cpu"
            and x.dtype in (torch.float32, torch.float64)
            and x.numel() > x.shape[1]
            and not torch.compiler.is_compiling()
            and not torch._C._is_tracing()
            and not torch.is_autocast_enabled("cpu")
            and not is_transformed()
            and all(_trains(norm) and norm.eps == self.norms[0].eps for norm in self.norms)
            and not any(map(_is_watched, self.modules[1:]))
            and why_not_trained() is None
            and all(weight.dtype == x.dtype and weight.device == x.device for weight in _own(self.modules))
        )

    def __call__(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """What the cell computes; its norms' running statistics follow."""
        # One call of PyTorch's instead of one for each of some sixty weights.
        weights = _flatten_dense_tensors([weight() for weight in self.weights])
        if not (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)):
            x = x.contiguous()
        eps = self.norms[0].eps if self.norms else 0.0
        y, _, statistics = torch.ops.autola.cell_training(x, weights, self.numbers, eps)
        if self.norms:
            self._follow(statistics.detach(), x.numel() // x.shape[1])
        return y

    def _follow(self, statistics: Tensor, values: int) -> None:
        """Moves running statistics towards those of a batch of so many values a channel."""
        sizes = [norm.num_features for norm in self.norms]
        mean, variance = statistics.chunk(2)
        means, variances = mean.split(sizes), (variance * (values / (values - 1))).split(sizes)
        with torch.no_grad():
            for momentum in {norm.momentum for norm in self.norms}:
                running, batch = list[Tensor](), list[Tensor]()
                for norm, mean, variance in zip(self.norms, means, variances):
                    if norm.momentum == momentum:
                        running += [_buffer(norm, "running_mean"), _buffer(norm, "running_var")]
                        batch += [mean, variance]
                assert momentum is not None
                # Torch names it with an underscore as its own optimizers use it.
                torch._foreach_lerp_(running, batch, momentum)  # pyright: ignore[reportPrivateImportUsage]
            counters = [norm._buffers["num_batches_tracked"] for norm in self.norms]
            if counted := [counter for counter in counters if counter is not None]:
                torch._foreach_add_(counted, 1)  # pyright: ignore[reportPrivateImportUsage]


def training_program(cell: Cell) -> TrainingProgram:
    """What the operator reads of a cell.

    Args:
        cell: With single operators on its edges.
    """
    modules = list(cell.modules())
    readers: Mapping[int, list[tuple[int, str]]] = cell.edges.readers  # pyright: ignore[reportAssignmentType]
    operators: Mapping[str, nn.Module] = cell.edges.operators  # pyright: ignore[reportAssignmentType]
    width, channels = (len(gate.excite.weight) for gate in (cell.group_gate, cell.output_gate))
    convs = [] if cell.fuse is None else [module for module in cell.fuse if isinstance(module, nn.Conv2d)]
    norms = [] if cell.fuse is None else [module for module in cell.fuse if isinstance(module, OperatorNorm)]
    edges = sorted((node, source, name) for source, named in readers.items() for node, name in named)
    hidden = [len(gate.squeeze.weight) for gate in (cell.group_gate, cell.output_gate)]
    numbers = [channels // width, width, len(convs), *hidden, len(edges)]
    weights, found = list(_gate(cell.group_gate)), list[OperatorNorm]()
    for node, source, name in edges:
        given = _edge(operators[name])
        if given is None:
            return TrainingProgram([], [], [], modules, is_known=False)
        kind, layers = given
        numbers += [node, source, *kind]
        weights += layers[0]
        found += layers[1]
    for conv, norm in zip(convs, norms):
        weights += [_parameter(conv, "weight"), *_affine(norm)]
    weights += _gate(cell.output_gate)
    return TrainingProgram(numbers, weights, [*found, *norms], modules)


def _edge(operator: nn.Module) -> tuple[list[int], tuple[list[Weights], list[OperatorNorm]]] | None:
    """Numbers of an edge, its weights and norms."""
    match operator:
        case _ if type(operator) is Skip:
            return [0], ([], [])
        case SqueezeExcite() | AverageMaxExcite():
            return [1, *_pools(operator)], (list(_gate(operator)), [])
        case SeparableGate(norm1=one, norm2=two):
            parts = [("depthwise1", "pointwise1", one), ("depthwise2", "pointwise2", two)]
            weights = [
                weight
                for depthwise, pointwise, norm in parts
                for weight in (
                    _parameter(operator.get_submodule(depthwise), "weight"),
                    _parameter(operator.get_submodule(pointwise), "weight"),
                    *_affine(norm),
                )
            ]
            return [2, 2, 3, 1, 1, 3, 1, 1], (weights, [one, two])
        case DilatedGate(depthwise=depthwise, pointwise=pointwise, norm=norm):
            weights = [_parameter(depthwise, "weight"), _parameter(pointwise, "weight"), *_affine(norm)]
            return [2, 1, 3, 2, 1], (weights, [norm])
        case SeparableSpatialGate(norm1=one, norm2=two):
            weights = [_product(operator.depthwise1, operator.pointwise1), *_affine(one)]
            weights += [_product(operator.depthwise2, operator.pointwise2), *_affine(two)]
            return [3, 2, 3, 1, 0, 3, 1, 0], (weights, [one, two])
        case DilatedSpatialGate(norm=norm):
            return [3, 1, 3, 2, 0], ([_product(operator.conv, operator.pointwise), *_affine(norm)], [norm])
        case CBAM(channel=channel, spatial=spatial) if spatial is not None and not spatial.mean_only:
            weights = [*_gate(channel), _parameter(spatial.conv, "weight"), *_affine(spatial.norm)]
            return [4, *_pools(channel), 1, 7, 1, 0], (weights, [spatial.norm])
        case CBAM(channel=channel, spatial=None):
            return [1, *_pools(channel)], (list(_gate(channel)), [])
        case _:
            return None


def _pools(gate: Excite) -> list[int]:
    return [len(gate.squeeze.weight), int(isinstance(gate, AverageMaxExcite))]


def _gate(gate: Excite) -> Iterator[Weights]:
    for layer in (gate.squeeze, gate.excite):
        yield _parameter(layer, "weight")
        yield _parameter(layer, "bias") if layer.bias is not None else _constant(layer, 0.0)


def _affine(norm: OperatorNorm) -> list[Weights]:
    if norm.affine:
        return [_parameter(norm, "weight"), _parameter(norm, "bias")]
    return [lambda: torch.ones_like(_running(norm)), lambda: torch.zeros_like(_running(norm))]


def _running(norm: OperatorNorm) -> Tensor:
    assert norm.running_mean is not None, "norms of operators keep running statistics"
    return norm.running_mean


def _parameter(module: nn.Module, name: str) -> Weights:
    return lambda: module._parameters[name]  # pyright: ignore[reportReturnType]


def _constant(layer: nn.Linear, value: float) -> Weights:
    return lambda: layer.weight.new_full((len(layer.weight),), value)


def _product(conv: nn.Conv2d, pointwise: nn.Conv2d) -> Weights:
    """The dense kernel of a convolution of one input channel an output, and the 1x1 behind it."""
    if conv.groups == 1:
        return lambda: conv.weight * pointwise.weight
    return lambda: pointwise.weight * conv.weight.transpose(0, 1)


def _buffer(norm: OperatorNorm, name: str) -> Tensor:
    buffer = norm._buffers[name]  # the attribute takes longer
    assert buffer is not None
    return buffer


def _own(modules: Sequence[nn.Module]) -> Iterator[Tensor]:
    return (weight for module in modules for weight in module._parameters.values() if weight is not None)


def _trains(norm: OperatorNorm) -> bool:
    return norm.training and norm.track_running_stats and norm.momentum is not None


def _is_watched(module: nn.Module) -> bool:
    """Whether somebody sees the module run, or it runs otherwise than its class says."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
        or "parametrizations" in module._modules
    )


@cache
def why_not_trained() -> str | None:
    """Loads the operator, built the first time. Gives the reason where that is not possible, else None."""
    if (reason := load_once("training_operator.cpp")) is not None:
        log.info("found cells train by PyTorch's own operators: %s", reason)
        return reason
    torch.library.register_fake("autola::cell_training", _shapes)
    torch.library.register_fake("autola::cell_training_backward", _shapes_backward)
    torch.library.register_autograd("autola::cell_training", _backward, setup_context=_keep)
    return None


def _shapes(x: Tensor, weights: Tensor, program: Sequence[int], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(x.shape), x.new_empty(_num_statistics(program))


def _num_statistics(program: Sequence[int]) -> int:
    """Means and variances of all norms."""
    num_nodes, width, fuse, _, _, num_edges, *rest = program
    numbers, total = iter(rest), fuse * num_nodes * width
    for _ in range(num_edges):
        _, _, kind = next(numbers), next(numbers), next(numbers)
        if kind in (1, 4):
            _, _ = next(numbers), next(numbers)
        num_layers = next(numbers) if kind > 1 else 0
        for number in range(num_layers):
            _, _, _ = next(numbers), next(numbers), next(numbers)
            total += width if kind == 2 else 1 if number == num_layers - 1 else 2
    return 2 * total


def _shapes_backward(
    of_y: Tensor,
    x: Tensor,
    nodes: Tensor,
    statistics: Tensor,
    weights: Tensor,
    program: Sequence[int],
    eps: float,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(weights)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weights, ctx.program, ctx.eps = inputs
    _, nodes, statistics = output
    ctx.mark_non_differentiable(nodes, statistics)
    ctx.save_for_backward(x, weights, nodes, statistics)


def _backward(ctx: Any, of_y: Tensor, *_: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, weights, nodes, statistics = ctx.saved_tensors
    if torch.is_grad_enabled():  # somebody differentiates this too
        wanted = [given for given in (x, weights) if given.requires_grad]
        y = explicit_cell(x, weights, ctx.program, ctx.eps)
        found = iter(torch.autograd.grad(y, wanted, of_y, create_graph=True))
        of_x, of_weights = (next(found) if given.requires_grad else None for given in (x, weights))
        return of_x, of_weights, None, None
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    of_x, of_weights = torch.ops.autola.cell_training_backward(
        of_y.contiguous(memory_format=layout), x, nodes, statistics, weights, ctx.program, ctx.eps
    )
    return of_x, of_weights, None, None
