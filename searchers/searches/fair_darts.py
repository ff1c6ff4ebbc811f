"""The search of Fair DARTS; its settings and its source are in searchers/fair_darts.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from searchers.fair_darts import FairDarts
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from supernet.explicit import SearchedNetwork


class Sigmoids(Mixture):
    """Edges mix with sigmoid(alphas); the loss has - zero_one mean((sigmoid(alphas) - 1/2)^2).

    Alphas start at 0, as in the public code, where that loss has no slope: from a random start it would
    drive every weight to the end that it happens to be nearer.
    Differs from the source: the rule of derivation is chosen apart, where the source keeps the operators
    above a threshold; the mean is over fewer alphas than the source's 224, so each feels the loss more.

    Args:
        supernet: The network that is searched.
        zero_one: Factor of that loss; higher makes the operators decide sooner.
    """

    def __init__(self, supernet: SearchedNetwork, zero_one: float) -> None:
        super().__init__(supernet)
        self.zero_one = zero_one
        nn.init.zeros_(supernet.alphas)

    def strengths(self) -> Tensor:
        return torch.sigmoid(self.logits())

    def expected(self) -> Tensor:
        return self.strengths()

    def shares(self) -> Tensor:
        weights = self.strengths()
        return weights / weights.sum(1, keepdim=True)

    def regularizer(self) -> Tensor:
        distance = torch.sigmoid(self.supernet.alphas) - 0.5
        return -self.zero_one * distance.square().mean()


def start(config: FairDarts, problem: Problem) -> DifferentiableSearch:
    """Does nothing: nothing changes between epochs."""
    return DifferentiableSearch(config, problem, Sigmoids(problem.supernet(), config.zero_one))
