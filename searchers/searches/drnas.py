"""The search of DrNAS; its settings and its source are in searchers/drnas.py."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from search_space.space import NONE
from searchers.drnas import DrNas
from searchers.searches.differentiable import DifferentiableSearch

LEAST = 1e-3
"""Smallest concentration: below it a draw is one-hot in float arithmetic and its gradient is noise."""


class DrNasSearch(DifferentiableSearch[DrNas]):
    """Edges mix with a draw from Dirichlet(elu(alphas) + 1).

    Differs from the source: shrinking leaves operators out of the mixture, but all channels are mixed
    throughout (the public code mixes a sixth, then a quarter), so it saves no time; alphas rest once, not at
    the start of both stages; one learning rate falls over both.
    """

    def concentrations(self) -> Tensor:
        """Concentrations of the Dirichlet distribution of every edge."""
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
