"""The search of DARTS; its settings and its source are in searchers/darts.py."""

from __future__ import annotations

from searchers.darts import Darts, Order
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from searchers.searches.unrolled import FiniteDifference, SecondOrder
from searchers.searches.updates import Updates

ORDERS: dict[Order, type[Updates]] = {
    "first": Updates,
    "second": SecondOrder,
    "finite_difference": FiniteDifference,
}


def start(config: Darts, problem: Problem) -> DifferentiableSearch:
    """Edges mix with softmax(alphas)."""
    return DifferentiableSearch(config, problem, Mixture(problem.supernet()), updates=ORDERS[config.order])
