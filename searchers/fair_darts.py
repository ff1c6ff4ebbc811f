"""Operators that do not compete: a sigmoid each, driven to 0 or 1.

Source: Chu et al., "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search",
ECCV 2020 (arXiv:1911.12126), with the settings of the public code (xiaomi-automl/FairDARTS, fairdarts/).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_space.config import config
from search_space.errors import InputError
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.problem import Problem
from searchers.settings import Differentiable
from supernet.supernet import Supernet


@searcher("fair_darts")
@config
class FairDarts(Differentiable):
    """Fair DARTS: every operator has a weight of its own in 0 ... 1, and a loss that asks it to decide."""

    learning_rate: float = 0.005
    """Of the weights' SGD at first (train_search.py)."""
    min_learning_rate: float = 1e-3
    """At the end of the cosine (train_search.py)."""
    weight_decay: float = 3e-4
    """Of the weights (train_search.py)."""
    alpha_betas: tuple[float, float] = (0.9, 0.999)
    """Of the alphas' Adam (train_search.py; 3e-3 and 1e-3 as well)."""
    zero_one: float = 10.0
    """Factor of the zero-one loss (train_search.py: aux_loss_weight)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.zero_one >= 0:
            raise InputError(f"zero_one={self.zero_one} is negative")

    def start(self, problem: Problem) -> FairDartsSearch:
        return FairDartsSearch(self, problem)


class FairDartsSearch(DifferentiableSearch[FairDarts]):
    """Edges mix with sigmoid(alphas); the loss has - zero_one mean((sigmoid(alphas) - 1/2)^2).

    Alphas start at 0, as in the public code, where that loss has no slope: from a random start it would
    drive every weight to the end that it happens to be nearer.
    Differs from the source: the rule of derivation is chosen apart, where the source keeps the operators
    above a threshold; the mean is over fewer alphas than the source's 224, so each feels the loss more.
    """

    def build(self) -> Supernet:
        supernet = super().build()
        nn.init.zeros_(supernet.alphas)
        return supernet

    def strengths(self) -> Tensor:
        return torch.sigmoid(self.logits())

    def expected(self) -> Tensor:
        return self.strengths()

    def relaxed(self) -> Tensor:
        weights = self.strengths()
        return weights / weights.sum(1, keepdim=True)

    def regularizer(self) -> Tensor:
        distance = torch.sigmoid(self.supernet.alphas) - 0.5
        return -self.config.zero_one * distance.square().mean()
