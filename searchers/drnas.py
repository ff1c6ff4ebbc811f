"""Dirichlet search: the mixture itself is drawn, and its concentrations are learnt.

Source: Chen et al., "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021, eq. 3-5 and section 3.3
(arXiv:2006.10355), with the settings of the public code (xiangning-chen/DrNAS, DARTS-space/).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from search_space.config import config
from search_space.errors import InputError
from search_space.space import NONE
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.problem import Problem
from searchers.settings import Differentiable

LEAST = 1e-3
"""Smallest concentration: below it a draw is one-hot in float arithmetic and its gradient is noise."""


@searcher("drnas")
@config
class DrNas(Differentiable):
    """DrNAS: mixtures drawn from a Dirichlet distribution; half of the operators leave halfway."""

    batch_size: int = 64
    """Images a step, from each half (train_search.py)."""
    learning_rate: float = 0.1
    """Of the weights' SGD at first (train_search.py)."""
    min_learning_rate: float = 0.0
    """At the end of the cosine (train_search.py)."""
    weight_decay: float = 3e-4
    """Of the weights (train_search.py)."""
    alpha_learning_rate: float = 6e-4
    """Of the alphas' Adam (train_search.py)."""
    alpha_weight_decay: float = 1e-3
    """Of the alphas: the public code's distance to the prior, concentrations of 1 (reg_type l2)."""
    alpha_warmup: float = 0.2
    """Share of the epochs, at first, in which the alphas rest (train_search.py: 10 of a stage's 25)."""
    kl: float = 0.0
    """Factor of the divergence from the prior in the loss, the other distance (in the public code 1e-3, with
    no decay then)."""
    keep: float = 0.5
    """Share of the primitives that stay on an edge after half of the epochs (train_search.py: 4 of 8 for
    its second stage); 1 keeps all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kl >= 0:
            raise InputError(f"kl={self.kl} is negative")
        if not 0 < self.keep <= 1:
            raise InputError(f"keep={self.keep} is not in 0 ... 1 (0 excluded)")

    def start(self, problem: Problem) -> DrNasSearch:
        return DrNasSearch(self, problem)


class DrNasSearch(DifferentiableSearch[DrNas]):
    """Edges mix with a draw from Dirichlet(elu(alphas) + 1).

    Differs from the source: shrinking leaves operators out of the mixture, but all channels are mixed
    throughout (the public code mixes a sixth, then a quarter), so it saves no time; alphas rest once, not at
    the start of both stages; one learning rate falls over both.
    """

    def concentrations(self) -> Tensor:
        """Of the Dirichlet distribution of every edge."""
        return (F.elu(self.supernet.alphas) + 1).clamp(min=LEAST)

    def relaxed(self) -> Tensor:
        return self._living(self.concentrations())

    def strengths(self) -> Tensor:
        weights = self.concentrations()
        return weights / weights.sum(1, keepdim=True) * self.alive

    def mix(self) -> Tensor:
        concentrations = self.concentrations()
        # Where alphas broke, the sampler would never return; the loss then says so.
        drawn = Dirichlet(concentrations.nan_to_num(1.0), validate_args=False).rsample()
        # Some coordinates of a Dirichlet vector, made to sum to one, are one of their own concentrations.
        return self._living(torch.where(concentrations.isfinite(), drawn, torch.nan))

    def regularizer(self) -> Tensor | None:
        if not self.config.kl:
            return None
        concentrations = self.concentrations()
        prior = Dirichlet(torch.ones_like(concentrations), validate_args=False)
        return self.config.kl * kl_divergence(Dirichlet(concentrations, validate_args=False), prior).sum()

    def finish_epoch(self, epoch: int) -> None:
        count = max(1, round(self.config.keep * self.supernet.alphas.shape[1]))
        if epoch + 1 == self.config.epochs // 2 and self.config.keep < 1:
            strengths, primitives = self.strengths().detach(), self.problem.space.primitives
            # `none` is never derived, so the strongest of the others stays whatever else does.
            derived = torch.tensor([name != NONE for name in primitives], device=strengths.device)
            best = strengths.masked_fill(~derived, -1.0).argmax(1, keepdim=True)
            kept = strengths.scatter(1, best, torch.inf).topk(count, 1).indices
            self.keep(torch.zeros_like(self.alive).scatter_(1, kept, True))
        super().finish_epoch(epoch)

    def _living(self, weights: Tensor) -> Tensor:
        weights = weights if self.all_alive else weights * self.alive
        return weights / weights.sum(1, keepdim=True)
