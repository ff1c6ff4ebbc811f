"""What goes along with a search: sees its steps and epochs; may change, add, stop or decide something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from evaluators.data import Batches
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from searchers.searches.schedule import Schedule
from searchers.settings import Differentiable


class Running(Protocol):
    """A differentiable search, as its callbacks see it."""

    config: Differentiable
    problem: Problem
    mixture: Mixture
    schedule: Schedule
    alpha_batches: Batches


class Callback:
    """Goes along with a search and does nothing; one that does something overrides what it needs.

    Epochs are counted from 0. The keys of a state stand beside those of the search, so they are its own.
    """

    def begin_step(self, search: Running, epoch: int) -> None:
        """Called before every step."""

    def term(self, mixture: Mixture) -> Tensor | None:
        """What is added to the loss of the alphas; None for nothing."""
        return None

    def end_epoch(self, search: Running, epoch: int) -> None:
        """Called after the last step of every epoch."""

    def figures(self) -> dict[str, float]:
        """Figures of the epoch that just ended, for the records."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a search that goes on has to have of it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what is its own from the state of the search."""


class Penalty(Callback):
    """Adds a penalty on the shares to the loss of the alphas: what limits on the cost ask for.

    Args:
        penalty: From shares (edges, primitives) to a number, differentiable.
    """

    def __init__(self, penalty: Callable[[Tensor], Tensor]) -> None:
        self.penalty = penalty

    def term(self, mixture: Mixture) -> Tensor:
        return self.penalty(mixture.shares())
