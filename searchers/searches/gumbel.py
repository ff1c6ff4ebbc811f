"""Draws of operators that gradients pass through, and the temperature that hardens them."""

from __future__ import annotations

import torch
from torch import Tensor

from search_space.errors import InputError


def gumbel_softmax(logits: Tensor, temperature: float) -> Tensor:
    """A draw from the concrete distribution of every row (Jang et al., arXiv:1611.01144)."""
    noise = -torch.empty_like(logits).exponential_().log()
    return ((logits.log_softmax(-1) + noise) / temperature).softmax(-1)


def check_temperatures(first: float, last: float) -> None:
    """Looks at the temperatures that a search begins and ends with.

    Raises:
        InputError: If they are not positive, or rise.
    """
    if not first >= last > 0:
        raise InputError(
            f"a temperature that falls from {first} to {last}: "
            "give positive ones, the second not above the first"
        )
