"""The search of DrNAS; its settings and its source are in searchers/drnas.py."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from searchers.drnas import DrNas
from searchers.searches.callback import Callback, Running
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from supernet.explicit import SearchedNetwork

LEAST = 1e-3
"""Smallest concentration: below it a draw is one-hot in float arithmetic and its gradient is noise."""


class DirichletDraws(Mixture):
    """Edges mix with a draw from Dirichlet(elu(alphas) + 1).

    Differs from the source: shrinking leaves operators out of the mixture, but all channels are mixed
    throughout (the public code mixes a sixth, then a quarter), so it saves no time; alphas rest once, not at
    the start of both stages; one learning rate falls over both.

    Args:
        supernet: The network that is searched.
        kl: Factor of the divergence from Dirichlet(1) in the loss of the alphas; 0 for none.
    """

    def __init__(self, supernet: SearchedNetwork, kl: float) -> None:
        super().__init__(supernet)
        self.kl = kl

    def concentrations(self) -> Tensor:
        """Concentrations of the Dirichlet distribution of every edge."""
        return (F.elu(self.supernet.alphas) + 1).clamp(min=LEAST)

    def shares(self) -> Tensor:
        return self._living(self.concentrations())

    def strengths(self) -> Tensor:
        weights = self.concentrations()
        return weights / weights.sum(1, keepdim=True) * self.alive

    def draw(self) -> Tensor:
        concentrations = self.concentrations()
        # Where alphas broke, the sampler would never return; the loss then says so.
        drawn = Dirichlet(concentrations.nan_to_num(1.0), validate_args=False).rsample()
        # Some coordinates of a Dirichlet vector, made to sum to one, are one of their own concentrations.
        return self._living(torch.where(concentrations.isfinite(), drawn, torch.nan))

    def regularizer(self) -> Tensor | None:
        if not self.kl:
            return None
        concentrations = self.concentrations()
        prior = Dirichlet(torch.ones_like(concentrations), validate_args=False)
        return self.kl * kl_divergence(Dirichlet(concentrations, validate_args=False), prior).sum()

    def _living(self, weights: Tensor) -> Tensor:
        weights = weights if self.all_alive else weights * self.alive
        return weights / weights.sum(1, keepdim=True)


class Shrinking(Callback):
    """After half of the epochs, the weakest primitives leave every edge.

    Args:
        keep: Share of the primitives that stay.
    """

    def __init__(self, keep: float) -> None:
        self.keep = keep

    def end_epoch(self, search: Running, epoch: int) -> None:
        if epoch + 1 != search.config.epochs // 2:
            return
        mixture = search.mixture
        strengths = mixture.strengths().detach()
        count = max(1, round(self.keep * strengths.shape[1]))
        # `none` is never derived, so the strongest of the others stays whatever else does.
        columns = torch.tensor(search.problem.space.candidate_columns, device=strengths.device)
        best = columns[strengths[:, columns].argmax(1, keepdim=True)]
        kept = strengths.scatter(1, best, torch.inf).topk(count, 1).indices
        mixture.keep(torch.zeros_like(mixture.alive).scatter_(1, kept, True))


def start(config: DrNas, problem: Problem) -> DifferentiableSearch:
    """Half of the primitives leave halfway."""
    shrinking = [Shrinking(config.keep)] if config.keep < 1 else []
    return DifferentiableSearch(config, problem, DirichletDraws(problem.supernet(), config.kl), shrinking)
