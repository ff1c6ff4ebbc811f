"""The search of GDAS; its settings and its source are in searchers/gdas.py."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from searchers.gdas import Gdas
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.gumbel import ConcreteDraws, Temperature
from searchers.searches.problem import Problem


class OneHotDraws(ConcreteDraws):
    """Edges have a one-hot weight, drawn by the Gumbel-max trick, with the gradient of the softmax.

    With p = softmax((log softmax(alphas) + Gumbel noise) / temperature) the weight of the operator drawn is
    1 + p - p with the last p without gradient. Weights that a step does not use have the gradient 0: momentum
    and decay go on, as in the authors' code.
    """

    def draw(self) -> Tensor:
        soft = super().draw()
        hard = F.one_hot(soft.argmax(1), soft.shape[1]).to(soft.dtype)
        return hard + (soft - soft.detach())

    def chosen(self, mixing: Tensor) -> list[int]:
        return mixing.argmax(1).tolist()


def start(config: Gdas, problem: Problem) -> DifferentiableSearch:
    """The temperature falls along a line."""
    first, last = config.temperature, config.min_temperature
    mixture = OneHotDraws(problem.supernet(), first)
    temperature = Temperature(mixture, lambda over: first + (last - first) * over)
    return DifferentiableSearch(config, problem, mixture, [temperature])
