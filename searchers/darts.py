"""Differentiable search by two levels.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019 (arXiv:1806.09055), with the
settings of the public AutoLA search (train_search.py and architect.py, commit 49c1e57).
"""

from __future__ import annotations

from search_space.config import config
from searchers import searcher
from searchers.differentiable import Differentiable, DifferentiableSearch
from searchers.problem import Problem


@searcher("darts")
@config
class Darts(Differentiable):
    """First-order DARTS: a step of the alphas on one half, then a step of the weights on the other."""

    def start(self, problem: Problem) -> DartsSearch:
        return DartsSearch(self, problem)


class DartsSearch(DifferentiableSearch[Darts]):
    """Edges mix with softmax(alphas)."""
