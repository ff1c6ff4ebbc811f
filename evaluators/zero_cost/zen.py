"""The Zen-score.

Source: Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021
(arXiv:2102.01063), algorithm 1. Differs from it: residual connections stay, as attention stands in branches
beside them; 8 draws, not 32.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evaluators.analysis.stages import maps_of, stages_of

PERTURBATION = 0.01
"""Share of the second noise image that is added to the first, as in the source."""

REPEATS = 8
"""Draws of the weights and of both images."""


@torch.no_grad()
def zen(network: nn.Module, images: Float[Tensor, "b c h w"]) -> float:
    """Logarithm of how far the last map moves under a small change of noise images, norms undone.

    Args:
        network: Its last stage gives a map.
        images: Their number and size alone count.

    Returns:
        The mean over draws of log |f(x) - f(x + 0.01 e)|, summed over map and averaged over images, plus the
        logarithms of the standard deviations that each batch norm takes out.
    """
    drawn = copy.deepcopy(network).train()
    stage = list(stages_of(drawn, images[:1]).items())[-1:]
    assert stage, "no module gives a map"
    found = list[float]()
    for _ in range(REPEATS):
        _draw(drawn)
        noise, other = (torch.randn_like(images, memory_format=torch.preserve_format) for _ in range(2))
        logarithms, seen = list[Tensor](), dict[str, Tensor]()
        norms = [m for m in drawn.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        with maps_of(dict(stage), seen.__setitem__):
            handles = [norm.register_forward_pre_hook(partial(_note, logarithms)) for norm in norms]
            drawn(noise)
            first = seen.popitem()[1]
            for handle in handles:
                handle.remove()
            drawn(noise + PERTURBATION * other)
            moved = (first - seen.popitem()[1]).double().abs().flatten(1).sum(1).mean()
        found.append(float(moved.log() + sum(logarithms)))
    return sum(found) / len(found)


def _draw(network: nn.Module) -> None:
    """New weights: standard normal, the norms' 1 and 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.normal_()
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            module.weight.fill_(1)
            module.bias.zero_()


def _note(logarithms: list[Tensor], module: nn.Module, args: tuple[Any, ...]) -> None:
    x = args[0].double()
    variance = x.var([axis for axis in range(x.ndim) if axis != 1], correction=0)
    logarithms.append(variance.mean().log() / 2)
