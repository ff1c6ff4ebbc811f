"""Differentiable sampling: every step computes one operator an edge.

Source: Dong and Yang, "Searching for A Robust Neural Architecture in Four GPU Hours", CVPR 2019
(arXiv:1910.04465), with the settings of the authors' public code (D-X-Y/AutoDL-Projects,
configs/search-opts/GDAS-NASNet-CIFAR.config and its search script for that space).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from search_space.config import config
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.gumbel import check_temperatures, gumbel_softmax
from searchers.problem import Problem
from searchers.settings import Differentiable


@searcher("gdas")
@config
class Gdas(Differentiable):
    """GDAS: one operator an edge is drawn, computed and rewarded; a fraction of the cost of `darts`."""

    epochs: int = 250
    """Passes over the halves (GDAS-NASNet-CIFAR.config)."""
    batch_size: int = 256
    """Images a step, from each half (the same)."""
    min_learning_rate: float = 1e-3
    """At the end of the cosine (the same; 0.025 at first as well)."""
    nesterov: bool = True
    """Whether the weights' momentum is Nesterov's (the same; decay 5e-4 as well)."""
    alpha_learning_rate: float = 3e-4
    """Of the alphas' Adam (the search script; betas and decay as well)."""
    temperature: float = 10.0
    """Of the softmax at first (the search script: tau_max)."""
    min_temperature: float = 0.1
    """In the last epoch, reached along a line (the search script: tau_min)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperatures(self.temperature, self.min_temperature)

    def start(self, problem: Problem) -> GdasSearch:
        return GdasSearch(self, problem)


class GdasSearch(DifferentiableSearch[Gdas]):
    """Edges have a one-hot weight, drawn by the Gumbel-max trick, with the gradient of the softmax.

    With p = softmax((log softmax(alphas) + Gumbel noise) / temperature) the weight of the operator drawn is
    1 + p - p with the last p without gradient. Weights that a step does not use have the gradient 0: momentum
    and decay go on, as in the authors' code.
    """

    def temperature(self) -> float:
        """Of the present epoch."""
        first, last = self.config.temperature, self.config.min_temperature
        return first + (last - first) * min(1.0, self.epoch / max(1, self.config.epochs - 1))

    def mix(self) -> Tensor:
        soft = gumbel_softmax(self.logits(), self.temperature())
        hard = F.one_hot(soft.argmax(1), soft.shape[1]).to(soft.dtype)
        return hard + (soft - soft.detach())

    def forward(self, images: Tensor, mixing: Tensor) -> Tensor:
        return self.supernet(images, mixing, mixing.argmax(1).tolist())
