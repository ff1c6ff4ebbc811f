"""The search of DARTS; its settings and its source are in searchers/darts.py."""

from __future__ import annotations

from torch import Tensor

from searchers.darts import Darts
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.unrolled import Unrolled


class DartsSearch(DifferentiableSearch[Darts]):
    """Edges mix with softmax(alphas)."""

    def update_alphas(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.order == "first":
            return super().update_alphas(images, labels)
        training = self.weight_batches.batch(*divmod(self.step, self.steps_per_epoch))
        unrolled = Unrolled(self, training, exact=self.config.order == "second")
        loss, correct = unrolled.loss(images, labels)
        self.move_alphas(unrolled.gradients(self.with_terms(loss)))
        return loss, correct
