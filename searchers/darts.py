"""Differentiable search by two levels.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019 (arXiv:1806.09055), with the
settings of the public AutoLA search (train_search.py and architect.py, commit 49c1e57).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from foundation.config import config
from foundation.errors import InputError
from searchers import searcher
from searchers.settings import Differentiable, require_own_weights, require_second_derivatives

if TYPE_CHECKING:
    from searchers.searches.problem import Problem

Order = Literal["first", "second", "finite_difference"]


@searcher("darts")
@config
class Darts(Differentiable):
    """DARTS: a step of the alphas on one half, then a step of the weights on the other."""

    search: ClassVar[str] = "searchers.searches.darts:start"

    order: Order = "first"
    """How the alphas' gradient is taken: at the present weights (first, train_search.py:43), through one step
    of them (second, eq. 7), or through that step estimated as in the paper's code (finite_difference, eq. 8).
    The last two foresee how the weights will follow, and take several times as long."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order != "first" and self.optimizer != "sgd":
            raise InputError(
                f"order={self.order} foresees a step of SGD, not of {self.optimizer}; give order=first, or "
                "optimizer=sgd"
            )

    @property
    def recordable(self) -> bool:
        return self.order == "first" and self.derive != "perturbation"

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.order == "second":
            require_second_derivatives(problem, "order=second")
        if self.order == "finite_difference":
            require_own_weights(problem, "order=finite_difference")
