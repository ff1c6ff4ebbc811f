"""The search of SNAS; its settings and its source are in searchers/snas.py."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.gumbel import ConcreteDraws, Temperature
from searchers.searches.problem import Problem
from searchers.searches.updates import Batch, Updates
from searchers.snas import Snas


class OneLevel(Updates):
    """A batch of either half moves the weights and the alphas together.

    So all images serve both, as the paper's whole training set does.
    """

    resting = False

    def step(self, held: Batch, training: Batch, *, resting: bool) -> tuple[Tensor, ...]:
        self.resting = resting
        return super().step(held, training, resting=resting)

    def update_alphas(self, *batch: Any) -> tuple[Tensor, Tensor]:
        loss, correct = self.loss(batch, self.mixture.draw())
        count = len(self.mixture.architecture)
        gradients = self.gradients(self.with_terms(loss), [*self.mixture.architecture, *self.parameters])
        self.move_alphas(gradients[:count])
        self.move_weights(gradients[count:])
        return loss, correct

    def update_weights(self, *batch: Any) -> tuple[Tensor, Tensor]:
        both = not self.resting
        return self.update_alphas(*batch) if both else super().update_weights(*batch)


def start(config: Snas, problem: Problem) -> DifferentiableSearch:
    """The temperature falls by equal factors."""
    first, last = config.temperature, config.min_temperature
    mixture = ConcreteDraws(problem.supernet(), first)
    temperature = Temperature(mixture, lambda over: first * (last / first) ** over)
    return DifferentiableSearch(config, problem, mixture, [temperature], OneLevel)
