"""What an operator computes once its weights are fixed: norms folded, convolutions in a row composed.

An operator file brings the composed form beside the plain one:

    @composed(DilatedGate)
    def composed_dilated(gate: DilatedGate) -> FullFactors:
        return FullFactors((fold(gate.depthwise, gate.pointwise, norm=gate.norm),))

`search_space.deployed` puts the composed forms of a cell's edges together. An operator without one runs there
as it is; `folds` says which of its norms follow which of its convolutions, so that these at least are folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.norm import OperatorNorm

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution with a bias that keeps the size of the map.

    Attributes:
        kernel: The dense kernel.
        bias: One number an output channel.
        dilation: Steps between the kernel's taps.
        parts: A depthwise kernel and a 1x1 kernel that make the dense one; None where it has no parts.
    """

    kernel: Float[Tensor, "o i k k"]
    bias: Float[Tensor, "o"]
    dilation: int = 1
    parts: tuple[Float[Tensor, "i 1 k k"], Float[Tensor, "o i 1 1"]] | None = None

    @property
    def signature(self) -> tuple[int, ...]:
        """Layers of one signature can run side by side."""
        return (*self.kernel.shape, self.dilation, self.parts is not None)


@dataclass(frozen=True, eq=False)
class Passing:
    """x."""


@dataclass(frozen=True, eq=False)
class ChannelFactors:
    """x * sigmoid(second relu(first mean(x))), and the same of the spatial maximum added before the sigmoid.

    Attributes:
        first: Weights of the hidden layer.
        first_bias: Its biases.
        second: Weights of the layer after it.
        second_bias: Its biases.
        reads_maximum: Whether the maximum goes through the same layers.
    """

    first: Float[Tensor, "hidden c"]
    first_bias: Float[Tensor, "hidden"]
    second: Float[Tensor, "c hidden"]
    second_bias: Float[Tensor, "c"]
    reads_maximum: bool


@dataclass(frozen=True, eq=False)
class FullFactors:
    """x * sigmoid of layers with a ReLU between them, which read x."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, eq=False)
class SpatialFactors:
    """x * sigmoid of layers with a ReLU between them, which read the maximum and mean over the channels."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, eq=False)
class ScaledFactors:
    """A spatial gate of one layer on the map that a channel gate has scaled."""

    channel: ChannelFactors
    spatial: SpatialFactors


Composed = Passing | ChannelFactors | FullFactors | SpatialFactors | ScaledFactors

COMPOSED: dict[type[nn.Module], Callable[[Any], Composed]] = {}
"""How each operator class that has a composed form gives it."""

FOLDS: dict[type[nn.Module], dict[str, str]] = {}
"""For an operator class, its norms and the convolution that each directly follows, by their names in it."""


def composed(operator: type[nn.Module]) -> Callable[[F], F]:
    """Registers how the composed form of an operator class is made of a module of it."""

    def decorate(make: F) -> F:
        if operator in COMPOSED:
            raise ValueError(f"{operator.__name__} has two composed forms")
        COMPOSED[operator] = make
        return make

    return decorate


def folds(operator: type[nn.Module], convolutions: Mapping[str, str]) -> None:
    """Says which convolution each norm of an operator class directly follows: {"norm": "conv"}."""
    FOLDS[operator] = dict(convolutions)


def composed_form(module: nn.Module) -> Composed | None:
    """The composed form of an operator in evaluation mode; None where its class has none."""
    make = COMPOSED.get(type(module))
    return None if make is None else make(module)


def fold(*convolutions: nn.Conv2d, norm: OperatorNorm) -> Layer:
    """Convolutions without anything between them, all but the first 1x1, and the norm behind them.

    Computed in float64, and given in the number format of the weights.
    """
    first, *rest = convolutions
    kernel = first.weight.detach().double()
    scale, shift = affine(norm)
    bias = torch.zeros_like(shift) if convolutions[-1].bias is None else convolutions[-1].bias.double()
    is_depthwise = first.groups > 1
    depthwise = kernel if is_depthwise else None
    if is_depthwise:
        assert first.groups == first.in_channels == first.out_channels, "neither dense nor depthwise"
        kernel = torch.diag_embed(kernel[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1)
    pointwise = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    for conv in rest:
        assert conv.kernel_size == (1, 1), "only 1x1 convolutions follow"
        assert conv.groups == 1, "only 1x1 convolutions follow"
        pointwise = conv.weight.detach().double()[:, :, 0, 0] @ pointwise
    pointwise = pointwise * scale[:, None]
    dtype = first.weight.dtype
    return Layer(
        torch.einsum("om,mihw->oihw", pointwise, kernel).to(dtype),
        (bias * scale + shift).detach().to(dtype),
        first.dilation[0],
        None if depthwise is None else (depthwise.to(dtype), pointwise[:, :, None, None].to(dtype)),
    )


def affine(norm: nn.modules.batchnorm._BatchNorm) -> tuple[Float[Tensor, "c"], Float[Tensor, "c"]]:
    """The factors and summands of a batch norm in evaluation mode, in float64."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None, "norms of operators keep running statistics"
    assert variance is not None
    scale = (variance.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.detach().double()
    shift = -mean.double() * scale
    return scale, shift + norm.bias.detach().double() if norm.affine else shift


def fold_into(conv: nn.Conv2d, norm: nn.modules.batchnorm._BatchNorm) -> None:
    """Changes a convolution, in place, so that it gives what the norm behind it gave."""
    scale, shift = affine(norm)
    weight = conv.weight.detach()
    bias = torch.zeros_like(shift) if conv.bias is None else conv.bias.detach().double()
    kernel = weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(kernel.to(weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter((bias * scale + shift).to(weight.dtype), requires_grad=False)


def fold_norms(module: nn.Module) -> int:
    """Folds the norms that `folds` knows into their convolutions, in a module and all that it holds.

    Returns:
        How many were folded.
    """
    number = 0
    for inner in list(module.modules()):
        for name, conv_name in FOLDS.get(type(inner), {}).items():
            norm, conv = inner.get_submodule(name), inner.get_submodule(conv_name)
            if isinstance(norm, OperatorNorm) and isinstance(conv, nn.Conv2d):
                fold_into(conv, norm)
                inner.set_submodule(name, nn.Identity())
                number += 1
    return number
