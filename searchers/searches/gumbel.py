"""Draws of operators that gradients pass through, and the temperature that hardens them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from searchers.searches.callback import Callback, Running
from searchers.searches.mixture import Mixture
from supernet.explicit import SearchedNetwork


class ConcreteDraws(Mixture):
    """Edges mix with softmax((log softmax(alphas) + Gumbel noise) / temperature).

    Source: Jang et al., "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017 (arXiv:1611.01144).

    Args:
        supernet: The network that is searched.
        temperature: Temperature of the softmax; higher draws more evenly.
    """

    def __init__(self, supernet: SearchedNetwork, temperature: float) -> None:
        super().__init__(supernet)
        self.temperature = temperature

    def draw(self) -> Tensor:
        logits = self.logits()
        noise = -torch.empty_like(logits).exponential_().log()
        return ((logits.log_softmax(-1) + noise) / self.temperature).softmax(-1)


class Temperature(Callback):
    """Sets the temperature of every epoch.

    Args:
        mixture: Draws at the temperature.
        fall: From the share of the epochs that is over, 0 ... 1, to the temperature.
    """

    def __init__(self, mixture: ConcreteDraws, fall: Callable[[float], float]) -> None:
        self.mixture, self.fall = mixture, fall

    def begin_step(self, search: Running, epoch: int) -> None:
        self.mixture.temperature = self.fall(min(1.0, epoch / max(1, search.config.epochs - 1)))
