"""The check of an ejected module: this code stands in the file, and needs nothing but torch.

Weights and inputs are numbers that depend on a seed alone. The results of the module on them were summed up
when the file was written; a sum of n terms is off by at most n eps relative to the sum of their magnitudes
(Higham, "Accuracy and Stability of Numerical Algorithms", section 4.2): so much two processors may differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

MAPS = 1001
"""Seed of the input."""
MEANS = 1002
"""Seed of the means of its channels."""
DIRECTIONS = 1003
"""Seed of the direction of gradients."""
FACTORS = 1004
"""Seed of what results are multiplied with before they are summed up."""


def numbers(shape: Sequence[int], seed: int) -> Tensor:
    """Numbers in -1 ... 1 that depend on shape and seed alone, the same with every version of torch."""
    x = torch.arange(1, math.prod(shape) + 1) + 1_000_003 * seed
    for _ in range(3):
        x = (x ^ (x >> 15)) * 0x2C1B3C6D % 2**31
    return (x.double() / 2**30 - 1).reshape(tuple(shape))


def filled(module: nn.Module) -> nn.Module:
    """The module in float64, such numbers as its weights and statistics."""
    module.double()
    for seed, (name, tensor) in enumerate(sorted(module.state_dict().items())):
        if not tensor.is_floating_point():
            continue
        values = numbers(tensor.shape, seed)
        if name.endswith("running_var"):
            values = values.abs() + 0.5
        elif tensor.dim() > 1:
            values = values * (3 / tensor[0].numel()) ** 0.5
        tensor.copy_(values)
    return module


def maps(shape: Sequence[int]) -> Tensor:
    """Feature maps whose channels have means of their own, so that gates have something to see."""
    return (numbers(shape, MAPS) + numbers((*shape[:2], 1, 1), MEANS)).requires_grad_()


def training(module: nn.Module) -> nn.Module:
    """The module in training mode, but for its dropouts, which draw anew each time."""
    for part in module.train().modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.eval()
    return module


def results(module: nn.Module, shape: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
    """Outputs in evaluation and in training, and the gradients of the input and of all weights."""
    x = maps(shape)
    yield "output in evaluation", module.eval()(x).detach()
    y = training(module)(x)
    yield "output in training", y.detach()
    weights = [weight for _, weight in sorted(module.named_parameters())]
    total = (y * numbers(y.shape, DIRECTIONS)).sum()
    of_x, *of_weights = torch.autograd.grad(total, [x, *weights], allow_unused=True, materialize_grads=True)
    yield "gradient of the input", of_x
    if of_weights:
        yield "gradient of the weights", torch.cat([gradient.flatten() for gradient in of_weights])


def weighted(result: Tensor) -> Tensor:
    """The entries of a result, each times a number of its own: their sum stands for all of them."""
    return result.flatten() * numbers((result.numel(),), FACTORS)


def digest(module: nn.Module, shape: Sequence[int]) -> dict[str, float]:
    """Each result as one number. The weights of the module are overwritten."""
    return {name: float(weighted(result).sum()) for name, result in results(filled(module), shape)}


def faults(module: nn.Module, shape: Sequence[int], expected: Mapping[str, float]) -> list[str]:
    """What is wrong with a module: a line each, none where it computes what it did when it was ejected.

    Args:
        module: Its weights are overwritten.
        shape: The input's, (b, c, h, w).
        expected: The digest of then.
    """
    found = list[str]()
    module = filled(module)
    terms = math.prod(shape) + sum(weight[0].numel() for weight in module.parameters() if weight.dim() > 1)
    for name, result in results(module, shape):
        if name.startswith("output") and result.shape != torch.Size(shape):
            found.append(f"{name}: shape {tuple(result.shape)}, not {tuple(shape)}")
            continue
        parts = weighted(result)
        tolerance = 4 * terms * torch.finfo(parts.dtype).eps * float(parts.abs().sum())
        difference = abs(float(parts.sum()) - expected[name])
        if not difference <= tolerance:
            found.append(f"{name}: off by {difference:.1e}, where rounding explains {tolerance:.1e}")
    torch.manual_seed(0)
    few = maps((2, shape[1], 4, 5))
    if not torch.autograd.gradcheck(training(module), few, fast_mode=True, raise_exception=False):
        found.append("gradient: not what differences of outputs say")
    return found


def network_digest(model: nn.Module, shape: Sequence[int]) -> float:
    """The output of a network in evaluation as one number. Its weights are overwritten."""
    with torch.no_grad():
        return float(weighted(filled(model).eval()(maps(shape))).sum())


def network_faults(model: nn.Module, shape: Sequence[int], expected: float) -> list[str]:
    """What is wrong with a network that has the attention: a line, or none; see `faults`."""
    with torch.no_grad():
        parts = weighted(filled(model).eval()(maps(shape)))
    terms = math.prod(shape) + sum(weight[0].numel() for weight in model.parameters() if weight.dim() > 1)
    tolerance = 4 * terms * torch.finfo(parts.dtype).eps * float(parts.abs().sum())
    difference = abs(float(parts.sum()) - expected)
    if difference <= tolerance:
        return []
    return [f"output of the network: off by {difference:.1e}, where rounding explains {tolerance:.1e}"]
