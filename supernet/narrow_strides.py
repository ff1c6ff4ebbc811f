"""Strided 1x1 convolutions of few channels, kept from a defect of torch's CPU library.

oneDNN's gradient of their weights writes past its own memory where maps have their channels last: the process
dies, or numbers are wrong (its issue 6035, open in November 2026; seen with torch 2.15 on a processor without
AVX-512). Images come with their channels last here, so that a ResNet-8 of width 4 met it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

BLOCK = 16
"""Channels that the library computes side by side, at most; with as many or more nothing is written past."""


def in_planes_where_narrow(network: nn.Module) -> nn.Module:
    """The network, changed so that such convolutions are given their maps plane by plane.

    Results are the same but for rounding, and the same whether gradients are taken or not.

    Args:
        network: Changed in place, and returned.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_narrow(module) and not _is_kept(module):
            module.register_forward_pre_hook(_in_planes)
    return network


def _is_narrow(conv: nn.Conv2d) -> bool:
    strides = conv.kernel_size == (1, 1) and max(conv.stride) > 1
    return strides and conv.in_channels // conv.groups < BLOCK


def _is_kept(conv: nn.Conv2d) -> bool:
    return _in_planes in conv._forward_pre_hooks.values()


def _in_planes(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    x, *rest = args
    if x.device.type != "cpu":
        return None
    # A copy: a map of one pixel may keep the strides of both layouts, and be taken for either.
    return x.clone(memory_format=torch.contiguous_format), *rest
