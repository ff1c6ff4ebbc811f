"""The search of GDAS; its settings and its source are in searchers/gdas.py."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from searchers.gdas import Gdas
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.gumbel import gumbel_softmax


class GdasSearch(DifferentiableSearch[Gdas]):
    """Edges have a one-hot weight, drawn by the Gumbel-max trick, with the gradient of the softmax.

    With p = softmax((log softmax(alphas) + Gumbel noise) / temperature) the weight of the operator drawn is
    1 + p - p with the last p without gradient. Weights that a step does not use have the gradient 0: momentum
    and decay go on, as in the authors' code.
    """

    def temperature(self) -> float:
        """Temperature of the present epoch."""
        first, last = self.config.temperature, self.config.min_temperature
        return first + (last - first) * min(1.0, self.epoch / max(1, self.config.epochs - 1))

    def mix(self) -> Tensor:
        soft = gumbel_softmax(self.logits(), self.temperature())
        hard = F.one_hot(soft.argmax(1), soft.shape[1]).to(soft.dtype)
        return hard + (soft - soft.detach())

    def forward(self, images: Tensor, mixing: Tensor) -> Tensor:
        return self.supernet(images, mixing, mixing.argmax(1).tolist())
