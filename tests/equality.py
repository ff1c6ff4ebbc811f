"""How equal two computations of the same function are: one rule for all tests.

Floating-point sums depend on the order of their terms, and the order depends on the processor. A sum of n
terms is off by at most n eps relative to the sum of their magnitudes (Higham, "Accuracy and Stability of
Numerical Algorithms", section 4.2), and each term may itself be such a sum. So two correct results differ by

    SAFETY x eps x numbers x largest

at most, where `numbers` is what the longest chain of sums adds up: the entries of the reference, or,
where they went through a network, the inputs of its widest layer times its number of layers; and
`largest` is the largest entry of the reference as a whole: among the gradients of one network some are 0
but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SAFETY = 4.0
"""Two results are compared, each off by as much, and norms and gates round a few times a sum."""

SHORTEST = 512
"""Numbers behind any result at least: small references come from longer sums."""

LOOSEST = 1e-6
"""A relative bound above this would pass over a changed constant."""

Tensors = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def bound(theirs: Tensors, through: nn.Module | None = None) -> float:
    """The largest difference that rounding explains.

    Args:
        theirs: The reference: a tensor, or all tensors of one computation.
        through: The network that it went through, if it is one.
    """
    values = list(_named(theirs).values())
    numbers = sum(value.numel() for value in values)
    if through is not None:
        layers = sum(1 for module in through.modules() if not any(module.children()))
        widest = max((weight[0].numel() for weight in through.parameters() if weight.dim() > 1), default=1)
        numbers = layers * widest
    real = [value for value in values if value.is_floating_point()]
    largest = max((value.abs().max().item() for value in real if value.numel()), default=0.0)
    eps = max((torch.finfo(value.dtype).eps for value in real), default=0.0)
    relative = SAFETY * eps * max(numbers, SHORTEST)
    assert relative < LOOSEST, f"a bound of {relative:.1e} would pass over real faults; compare in float64"
    return relative * largest


def assert_equal(ours: Tensors, theirs: Tensors, *, through: nn.Module | None = None) -> None:
    """Holds one computation to another, within what rounding explains; see the module's text.

    Args:
        ours: A tensor, or all tensors of one computation, by name or in order.
        theirs: The reference, alike.
        through: The network that they went through, if it is one.
    """
    mine, yours = _named(ours), _named(theirs)
    assert mine.keys() == yours.keys()
    allowed = bound(theirs, through)
    for name, value in mine.items():
        torch.testing.assert_close(
            value, yours[name], rtol=0, atol=allowed, msg=lambda text, name=name: f"{name}: {text}"
        )


def _named(tensors: Tensors) -> dict[str, Tensor]:
    if isinstance(tensors, Tensor):
        return {"the result": tensors}
    if isinstance(tensors, Mapping):
        return dict(tensors)
    return {f"result {number}": tensor for number, tensor in enumerate(tensors)}
