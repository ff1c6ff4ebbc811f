"""Differentiable search by two levels.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019 (arXiv:1806.09055), with the
settings of the public AutoLA search (train_search.py and architect.py, commit 49c1e57).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from search_space.config import config
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.problem import Problem
from searchers.settings import Differentiable, require_own_weights, require_second_derivatives
from searchers.unrolled import Unrolled

Order = Literal["first", "second", "finite_difference"]


@searcher("darts")
@config
class Darts(Differentiable):
    """DARTS: a step of the alphas on one half, then a step of the weights on the other."""

    order: Order = "first"
    """Of the alphas' gradient: at the present weights ("first", train_search.py:43), or through one step
    of them ("second", eq. 7): exactly, or estimated as in the paper's code ("finite_difference", eq. 8)."""

    @property
    def recordable(self) -> bool:
        return self.order == "first" and self.derive != "perturbation"

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.order == "second":
            require_second_derivatives(problem, "order=second")
        if self.order == "finite_difference":
            require_own_weights(problem, "order=finite_difference")

    def start(self, problem: Problem) -> DartsSearch:
        return DartsSearch(self, problem)


class DartsSearch(DifferentiableSearch[Darts]):
    """Edges mix with softmax(alphas)."""

    def update_alphas(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.order == "first":
            return super().update_alphas(images, labels)
        training = self.weight_batches.batch(*divmod(self.step, self.steps_per_epoch))
        unrolled = Unrolled(self, training, exact=self.config.order == "second")
        loss, correct = unrolled.loss(images, labels)
        self.move_alphas(unrolled.gradients(self.with_terms(loss)))
        return loss, correct
