"""Functions with a backward of their own: they keep their inputs alone and recompute what is cheap.

Backward is made of differentiable operators, so second derivatives work.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]

convolution_backward = torch.ops.aten.convolution_backward


def pool_channels(
    planes: Float[Tensor, "b g c n"], gate: Float[Tensor, "b e c"] | None = None
) -> Float[Tensor, "b e 2 n"]:
    """Maximum and mean over the channels of planes * gate, in this order.

    Args:
        planes: Groups of channels, each plane contiguous; one group serves all edges of the gate.
        gate: Factors of the channels for every edge; None for one edge a group and no factors.
    """
    if steps_aside(planes, gate):
        return _pooled(planes if gate is None else planes * gate[..., None])[0]
    pooled: Tensor = _PoolChannels.apply(planes, gate)
    return pooled


def steps_aside(*values: Tensor | None) -> bool:
    """Whether a backward of our own has no use: nothing is differentiated, or a tracer or transform of torch
    works, which sees torch's own operators alone.
    """
    return (
        torch._C._is_tracing()
        or torch.compiler.is_exporting()
        or is_transformed()
        or not torch.is_grad_enabled()
        or not any(value is not None and value.requires_grad for value in values)
    )


def is_transformed() -> bool:
    """Whether a transform of `torch.func` works."""
    return not torch.compiler.is_compiling() and _functorch.peek_interpreter_stack() is not None


def _pooled(scaled: Float[Tensor, "b e c n"]) -> tuple[Float[Tensor, "b e 2 n"], Tensor]:
    """Maximum and mean over the channels, and where the maximum is."""
    b, e, c, n = scaled.shape
    rows = scaled.reshape(b * e, c, 1, n).permute(0, 3, 1, 2)
    maximum, index = F.max_pool2d_with_indices(rows, (c, 1))
    return torch.cat((maximum.view(b, e, 1, n), scaled.mean(2, keepdim=True)), 2), index


class _PoolChannels(torch.autograd.Function):
    """The maximum is taken by the pooling kernel, with channels as rows: it is vectorised over positions,
    `max(dim)` is not (20 times slower). Its gradient goes to the first of equal channels.
    """

    @staticmethod
    def forward(ctx: Any, planes: Tensor, gate: Tensor | None) -> Tensor:
        scaled = planes if gate is None else planes * gate[..., None]
        pooled, index = _pooled(scaled)
        c = scaled.shape[2]
        if c <= 256:
            index = index.to(torch.uint8)  # kept for backward: an eighth of the memory
        ctx.save_for_backward(planes if gate is not None else None, gate, index)
        ctx.channels = c
        return pooled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        planes, gate, index = ctx.saved_tensors
        (grad,) = grads
        b, e, _, n = grad.shape
        c = ctx.channels
        shape = grad.new_empty(b * e, c, 1, n).permute(0, 3, 1, 2)
        of_maximum, of_mean = grad.split(1, 2)
        of_maximum = of_maximum.reshape(b * e, 1, 1, n).permute(0, 3, 1, 2)
        scaled = torch.ops.aten.max_pool2d_with_indices_backward(
            of_maximum, shape, [c, 1], [c, 1], [0, 0], [1, 1], False, index.long()
        )
        scaled = scaled.permute(0, 2, 3, 1).view(b, e, c, n) + of_mean / c
        if gate is None:
            return scaled, None
        of_planes = scaled * gate[..., None]
        if planes.shape[1] != e:
            of_planes = of_planes.sum(1, keepdim=True)
        return of_planes, (scaled * planes).sum(-1)


def separable(
    x: Float[Tensor, "b c h w"],
    depthwise: Float[Tensor, "c 1 k k"],
    pointwise: Float[Tensor, "o i 1 1"],
    dilation: int = 1,
) -> Float[Tensor, "b o h w"]:
    """A depthwise convolution that keeps the size, then a 1x1 convolution in groups of i channels."""
    if steps_aside(x, depthwise, pointwise):
        between = _same_convolution(x, depthwise, dilation)
        return F.conv2d(between, pointwise, groups=between.shape[1] // pointwise.shape[1])
    y: Tensor = _Separable.apply(*_as_autocast(x, depthwise, pointwise), dilation)
    return y


def _as_autocast(*values: Tensor) -> tuple[Tensor, ...]:
    """Tensors as autocast would hand them to a convolution; it does not reach our own backward."""
    device = values[0].device.type
    if not torch.is_autocast_enabled(device):
        return values
    dtype = torch.get_autocast_dtype(device)
    return tuple(value.to(dtype) if value.dtype == torch.float32 else value for value in values)


class _Separable(torch.autograd.Function):
    """Keeps the input and computes the map between the two again: a tenth of the time, half the memory.

    The gradient of the input is the same convolution with the kernel turned, and the kernel's gradient at
    dilation 2 is taken on the four grids of every second position: the CPU has no fast backward of
    depthwise convolutions for either.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, depthwise: Tensor, pointwise: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, depthwise, pointwise)
        ctx.dilation = dilation
        between = _same_convolution(x, depthwise, dilation)
        return F.conv2d(between, pointwise, groups=between.shape[1] // pointwise.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, depthwise, pointwise = ctx.saved_tensors
        needs_x, needs_depthwise, needs_pointwise, _ = ctx.needs_input_grad
        dilation: int = ctx.dilation
        between = _same_convolution(x, depthwise, dilation) if needs_pointwise else x
        groups = between.shape[1] // pointwise.shape[1]
        of_between, of_pointwise, _ = convolution_backward(
            grads[0], between, pointwise, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups,
            [True, needs_pointwise, False],
        )  # fmt: skip
        of_x = _same_convolution(of_between, depthwise.flip(2, 3), dilation) if needs_x else None
        of_depthwise: Tensor | None = None
        if needs_depthwise:
            if dilation == 2 and x.device.type == "cpu":
                x, of_between, dilation = _to_grids(x), _to_grids(of_between), 1
            padding = dilation * (depthwise.shape[-1] // 2)
            _, of_depthwise, _ = convolution_backward(
                of_between, x, depthwise, None, [1, 1], [padding] * 2, [dilation] * 2, False, [0, 0],
                len(depthwise), [False, True, False],
            )  # fmt: skip
        return of_x, of_depthwise, of_pointwise, None


def _same_convolution(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, padding=padding, dilation=dilation, groups=len(weight))


def _to_grids(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b4 c h2 w2"]:
    """The four grids of every second position as images of their own; odd maps get a margin of zeros."""
    _, c, h, w = x.shape
    if h % 2 or w % 2:
        x = F.pad(x, (0, w % 2, 0, h % 2))
    b, _, h, w = x.shape
    grids = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 2, 2, c).permute(2, 4, 0, 1, 3, 5)
    return grids.reshape(4 * b, h // 2, w // 2, c).permute(0, 3, 1, 2)
