"""Evaluation mode for a while: what a network is asked, in the precision that it trains in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@contextmanager
def evaluating(model: nn.Module, fabric: Fabric | None = None) -> Iterator[Callable[..., Any]]:
    """Asks a model in evaluation mode, without gradients; every module's own mode comes back afterwards.

    Only what the model computes is autocast: images are prepared, and metrics counted, as ever.

    Args:
        model: What is asked.
        fabric: The source of the precision; None for that of the weights.

    Yields:
        The model as a function.
    """

    def ask(*inputs: Any) -> Any:
        with fabric.autocast() if fabric is not None else nullcontext():
            return model(*inputs)

    with modes_kept(model), torch.no_grad():
        model.eval()
        yield ask


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Sets every module back to training or evaluation mode, as it was: a frozen norm stays frozen."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
