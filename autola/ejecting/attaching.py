"""The attach step of an ejected file: this code stands in the file, and needs nothing but torch."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import Tensor, nn


class After:
    """Passes what a module gives through attention that lives beside it; a copied model has its own."""

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return self.attention(output)


class Before:
    """Passes what a module is given through attention that lives beside it."""

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.attention(args[0]), *args[1:]


def add(model: nn.Module, place: str, name: str, attention: nn.Module) -> nn.Module:
    """Makes attention a part of a model, in the mode, on the device and of the dtype of what it belongs to.

    Args:
        model: Changed in place.
        place: Name of the module that the attention belongs to.
        name: Name that the attention gets; the place itself where it stands instead of a convolution.
        attention: The module to add.

    Returns:
        The module that was at the place.
    """
    module = model.get_submodule(place)
    like = next(chain(module.parameters(), model.parameters()))
    owner, _, child = name.rpartition(".")
    attention.to(device=like.device, dtype=like.dtype).train(module.training)
    setattr(model.get_submodule(owner), child, attention)
    return module


def follow(model: nn.Module, place: str, name: str, attention: nn.Module) -> None:
    """Has a module pass its output through attention, which becomes a part of the model; see `add`."""
    add(model, place, name, attention).register_forward_hook(After(attention))


def precede(model: nn.Module, place: str, name: str, attention: nn.Module) -> None:
    """Has a module pass its input through attention, which becomes a part of the model; see `add`."""
    add(model, place, name, attention).register_forward_pre_hook(Before(attention))
