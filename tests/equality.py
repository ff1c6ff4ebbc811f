"""How equal two computations of the same function are: one rule for all tests.

Floating-point sums depend on the order of their terms, and the order depends on the processor. A sum of n
terms is off by at most n eps relative to the sum of their magnitudes (Higham, "Accuracy and Stability of
Numerical Algorithms", section 4.2), and each term may itself be such a sum. So two correct results differ by

    SAFETY x eps x numbers x largest

at most, where `numbers` counts what the longest chain of sums adds up: the entries of the reference and,
where they went through a network, its weights and what each of its layers gives; and `largest` is the
largest entry of the reference as a whole: among the gradients of one network some are 0 but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SAFETY = 4.0
"""Two results are compared, each off by as much, and norms and gates round a few times a sum."""

SHORTEST = 512
"""Numbers behind any result at least: small references come from longer sums."""

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
        leaves = sum(1 for module in through.modules() if not any(module.children()))
        numbers += sum(parameter.numel() for parameter in through.parameters())
        numbers += leaves * max(value.numel() for value in values)
    real = [value for value in values if value.is_floating_point()]
    largest = max((value.abs().max().item() for value in real if value.numel()), default=0.0)
    eps = max((torch.finfo(value.dtype).eps for value in real), default=0.0)
    return SAFETY * eps * max(numbers, SHORTEST) * largest


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
