"""Operators that stand instead of a convolution, or change one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import Proxy

from foundation.errors import InputError
from search_space.operator import Operator, Place, traced
from search_space.state import State


class ConvolutionOperator(Operator):
    """An operator that takes a convolution's place: its strides and its numbers of channels.

    The first argument of its constructor is the convolution. A number of channels there stands for a new
    3x3 convolution that keeps them and the size of the map, so that it is an operator like all others:
    usable alone, and on an edge of a cell. An operator that keeps the convolution's weight keeps its key.

    Its method `macs` says what its definition multiplies, for whoever counts.
    """

    place: ClassVar[Place] = "conv"
    keeps_weight: ClassVar[bool] = False
    """Whether the convolution's own weight lives on, so that it can start as the plain convolution itself."""
    text: str = ""
    """The attention in the grammar where `attach` put it, empty elsewhere."""

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h2 w2"]:
        return traced(self, x) if isinstance(x, Proxy) else self.read(State(x))

    def start_plain(self) -> None:
        """Scales what the operator adds to the convolution by a new weight `scale`, zero at first.

        Only for operators that keep the convolution's weight; others stand in `FromConvolution`.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define start_plain")


class FromConvolution(ConvolutionOperator, nn.Conv2d):  # pyright: ignore[reportIncompatibleMethodOverride]
    """conv(x) + scale (operator(x) - conv(x)): the convolution at first, the operator at scale 1.

    Args:
        conv: Its weight keeps its key.
        operator: Stands for the convolution.
    """

    keeps_weight = True

    def __init__(self, conv: nn.Conv2d, operator: ConvolutionOperator) -> None:
        super().__init__(**arguments_of(conv), device="meta")
        self.weight, self.bias = conv.weight, conv.bias
        self.operator = operator
        self.scale = nn.Parameter(conv.weight.new_zeros(()))

    def read(self, state: State) -> Float[Tensor, "b c_out h2 w2"]:
        plain = self._conv_forward(state.x, self.weight, self.bias)
        return torch.lerp(plain, self.operator(state.x).to(plain.dtype), self.scale.to(plain.dtype))

    def macs(self, shape: torch.Size) -> int:
        """Both the convolution's and the operator's."""
        own = convolution_macs(self, shape[0], output_size(self, shape[2:]))
        return own + self.operator.macs(shape)  # pyright: ignore[reportCallIssue]


HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)
"""What a module keeps of the hooks that users hang on it."""


def move_hooks(source: nn.Module, target: nn.Module) -> None:
    """Hangs all forward and backward hooks of one module on another; their handles stay good."""
    for name in HOOKS:
        setattr(target, name, getattr(source, name))


def plain_convolution(operator: ConvolutionOperator) -> nn.Conv2d | None:
    """The convolution that an operator stands for, with its weight; None where the weight is gone."""
    if not isinstance(operator, nn.Conv2d) or not operator.keeps_weight:
        return None
    conv = nn.Conv2d(**arguments_of(operator), device="meta").train(operator.training)
    conv.weight, conv.bias = operator.weight, operator.bias
    move_hooks(operator, conv)
    return conv


def arguments_of(conv: nn.Conv2d) -> dict[str, Any]:
    """What a convolution of the same shape is built with."""
    return {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "bias": conv.bias is not None,
        "padding_mode": conv.padding_mode,
    }


def as_convolution(channels: int | nn.Conv2d) -> nn.Conv2d:
    """The convolution that an operator is given, or the one that a number of channels stands for.

    Raises:
        InputError: If it is a subclass of Conv2d, which may compute something else, or channels are not
            positive.
    """
    if isinstance(channels, nn.Conv2d):
        if type(channels) is not nn.Conv2d:
            raise InputError(f"{type(channels).__name__} is not a plain Conv2d, so nothing can stand for it")
        return channels
    if channels < 1:
        raise InputError(f"{channels} channels: give a positive number")
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def margins(conv: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows that a convolution adds above and below the map, and columns left and right of it."""
    if isinstance(conv.padding, str):
        reach = [conv.dilation[i] * (conv.kernel_size[i] - 1) * (conv.padding == "same") for i in (0, 1)]
        above, left = (side // 2 for side in reach)
        return (above, reach[0] - above), (left, reach[1] - left)
    return (conv.padding[0], conv.padding[0]), (conv.padding[1], conv.padding[1])


def output_size(conv: nn.Conv2d, size: Sequence[int]) -> tuple[int, int]:
    """Height and width of a convolution's output on a map of height and width `size`."""
    h, w = (
        (side + sum(margin) - dilation * (kernel - 1) - 1) // stride + 1
        for side, margin, dilation, kernel, stride in zip(
            size, margins(conv), conv.dilation, conv.kernel_size, conv.stride
        )
    )
    return h, w


def convolution_macs(conv: nn.Conv2d, b: int, size: tuple[int, int]) -> int:
    """Multiply-accumulates of a convolution whose output has height and width `size`, for b images."""
    per_position = conv.out_channels * (conv.in_channels // conv.groups)
    return b * per_position * conv.kernel_size[0] * conv.kernel_size[1] * size[0] * size[1]
