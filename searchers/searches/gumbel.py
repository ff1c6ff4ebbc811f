"""Draws of operators that gradients pass through, and the temperature that hardens them."""

from __future__ import annotations

import torch
from torch import Tensor


def gumbel_softmax(logits: Tensor, temperature: float) -> Tensor:
    """A draw from the concrete distribution of every row (Jang et al., arXiv:1611.01144)."""
    noise = -torch.empty_like(logits).exponential_().log()
    return ((logits.log_softmax(-1) + noise) / temperature).softmax(-1)
