"""Stochastic search: soft draws that harden, weights and alphas in one backward pass.

Source: Xie et al., "SNAS: Stochastic Neural Architecture Search", ICLR 2019 (arXiv:1812.09926).
Settings and the course of the temperature in its appendix are UNKNOWN here: those not chosen here are as in
`darts`.
"""

from __future__ import annotations

from torch import Tensor

from search_space.config import config
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.gumbel import check_temperatures, gumbel_softmax
from searchers.problem import Problem
from searchers.settings import Differentiable


@searcher("snas")
@config
class Snas(Differentiable):
    """SNAS: mixtures drawn from a concrete distribution; one loss trains weights and alphas at once."""

    temperature: float = 1.0
    """Of the softmax at first (chosen here)."""
    min_temperature: float = 0.1
    """In the last epoch, reached by equal factors (chosen here)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperatures(self.temperature, self.min_temperature)

    def start(self, problem: Problem) -> SnasSearch:
        return SnasSearch(self, problem)


class SnasSearch(DifferentiableSearch[Snas]):
    """Edges mix with softmax((log softmax(alphas) + Gumbel noise) / temperature).

    One level: a batch of either half moves the weights and the alphas together, so all images serve both, as
    the paper's whole training set does.
    """

    def temperature(self) -> float:
        """Of the present epoch."""
        first, last = self.config.temperature, self.config.min_temperature
        return first * (last / first) ** min(1.0, self.epoch / max(1, self.config.epochs - 1))

    def mix(self) -> Tensor:
        return gumbel_softmax(self.logits(), self.temperature())

    def update_alphas(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self._update_both(images, labels)

    def update_weights(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        resting = self.epoch < self.resting_epochs
        return super().update_weights(images, labels) if resting else self._update_both(images, labels)

    def _update_both(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        loss, correct = self.loss(images, labels, self.mix())
        gradients = self.gradients(self.with_terms(loss), [*self.architecture, *self.parameters])
        count = len(self.architecture)
        self.move_alphas(gradients[:count])
        self.move_weights(gradients[count:])
        return loss, correct
