"""A model's modules with the types that torch does not declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

from torch import nn


def named(model: nn.Module, *, every_name: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """All modules of a model with their names.

    Args:
        model: The model.
        every_name: Whether a module that stands at several places comes under each of its names.
    """
    return cast("Iterator[tuple[str, nn.Module]]", model.named_modules(remove_duplicate=not every_name))


@contextmanager
def frozen(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Nothing inside asks for gradients of these weights; those that were frozen before stay so."""
    learning = [weight for weight in weights if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def last_child(module: nn.Module) -> str | None:
    """The name of the last child; None where there is none."""
    names = [name for name, _ in module.named_children()]
    return names[-1] if names else None


def freeze_norms(model: nn.Module) -> None:
    """Has the batch norms use their running statistics as they are; scales and shifts still learn."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
