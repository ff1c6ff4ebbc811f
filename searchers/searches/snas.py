"""The search of SNAS; its settings and its source are in searchers/snas.py."""

from __future__ import annotations

from torch import Tensor

from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.gumbel import gumbel_softmax
from searchers.snas import Snas


class SnasSearch(DifferentiableSearch[Snas]):
    """Edges mix with softmax((log softmax(alphas) + Gumbel noise) / temperature).

    One level: a batch of either half moves the weights and the alphas together, so all images serve both, as
    the paper's whole training set does.
    """

    def temperature(self) -> float:
        """Temperature of the present epoch."""
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
