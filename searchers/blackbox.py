"""Searchers that see nothing but scores: they propose genotypes, short trainings or a supernet judge them.

A proposal is a function of the seed and the history alone, so that a search which stops goes on exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from evaluators.recipe import TrainConfig
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.searchable import Searchable
from searchers import ADAM_BETAS, Search, SearcherConfig
from searchers.candidates import Candidates, History
from searchers.finals import Finals

if TYPE_CHECKING:
    from searchers.searches.problem import Problem

log = logging.getLogger(__name__)

Proposer = Callable[[History], Any]
"""A function from the trials so far to the genotype to try next."""


@config
class BlackBox(SearcherConfig):
    """A searcher that proposes candidates; each is trained shortly on one half, judged on the other.

    Or, with `shared`, all of them are judged with the weights of one supernet.
    """

    drawn_by: ClassVar[str] = "population"
    """Name of the setting that says how many candidates are drawn at first."""

    trials: int = 20
    """Candidates to judge; more find better ones and take longer."""
    at_once: int = 1
    """Candidates that are proposed one after another before the first of them is judged. More keep more
    workers busy (--on), and each proposal then learns from fewer scores. The answer depends on this number,
    and never on how many workers there are."""
    shared: bool = False
    """Judge candidates with the weights of one supernet, trained on a path drawn at random for every step,
    instead of a training for each: far faster, less exact."""
    epochs: int = 10
    """Passes over the first half in each candidate's training, or in the supernet's; more judge better and
    take longer."""
    batch_size: int = 128
    """Images in a step, over all processes; more need more memory and make fewer steps."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """Optimizer of the weights: SGD with momentum, or Adam (betas 0.9 and 0.98), without which Transformers
    hardly learn."""
    learning_rate: float = 0.1
    """Learning rate at the first step, falling along half a cosine; higher trains faster and less stably."""
    min_learning_rate: float = 0.0
    """Learning rate at the end of the cosine; higher keeps changing the weights to the end."""
    weight_decay: float = 5e-4
    """Weight decay of the weights; higher keeps them smaller."""
    clip: float = 5.0
    """Largest norm of the gradient, which is scaled down to it; lower is stabler and slower. 0 for no
    clipping."""
    finals: Finals = Finals()
    """Trainings of the best by shared weights at the end, of which the best is the answer."""

    def __post_init__(self) -> None:
        rules.positive(self, "trials", hint="; a search judges at least one candidate")
        rules.positive(self, "at_once")
        if self.finals.count and not self.shared:
            raise InputError(
                "finals train the best by shared weights, and every candidate has its own training here; "
                "leave out finals, or give shared"
            )
        self.recipe()

    @classmethod
    def of_trainings(cls) -> Self:
        """The searcher's own settings, every candidate trained as `random` trains it."""
        plain = BlackBox()
        return replace(
            cls(shared=False),
            **{field.name: getattr(plain, field.name) for field in fields(plain) if field.name != "trials"},
        )

    def first_draws(self) -> int:
        """Candidates that are drawn at random before the searcher learns from the scores."""
        return 0

    def at_most_half(self, given: int | None, usual: int) -> int:
        """The number of first draws: as given, or the usual one, but no more than half of the trials."""
        return max(1, min(usual, self.trials // 2)) if given is None else given

    def check_budget(self, space: Searchable) -> None:
        super().check_budget(space)
        if self.trials > 2 and self.first_draws() >= self.trials:
            raise InputError(
                f"{self.name} draws its first {self.first_draws()} candidates at random, so {self.trials} "
                f"trials are random search; give a searcher.{self.drawn_by} below that, or leave it out"
            )
        if self.trials > space.size:
            log.warning(
                "%d trials are more than the %d genotypes of the space: some are tried again",
                self.trials,
                space.size,
            )

    def recipe(self) -> TrainConfig:
        """How a candidate, or the supernet, is trained."""
        return TrainConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            beta2=ADAM_BETAS[1],
            learning_rate=self.learning_rate,
            min_learning_rate=self.min_learning_rate,
            weight_decay=self.weight_decay,
            clip=self.clip,
            select="last",
        )

    def propose(self, candidates: Candidates, history: History) -> Any:
        """The genotype to try next, a function of the arguments alone."""
        raise NotImplementedError(f"{type(self).__name__} has to define propose")

    def proposer(self, candidates: Candidates) -> Proposer:
        """A function that proposes among the candidates; it may keep what it learnt from the history."""
        return partial(self.propose, candidates)

    def num_known(self, trial: int) -> int:
        """How many trials, counted from the first, are judged when the one of this number is proposed."""
        return trial - trial % self.at_once

    def proposals(self, problem: Problem) -> Proposer:
        """Proposes for a problem, and learns of scores when all that were proposed at once have theirs."""
        return InBatches(self.proposer(problem.candidates), self.num_known)

    def start(self, problem: Problem) -> Search:
        from searchers.searches.finals import with_finals
        from searchers.searches.shared import SharedSearch
        from searchers.searches.trained import TrainedSearch

        if not self.shared:
            return TrainedSearch(self.recipe(), self.trials, self.proposals(problem), problem)
        search = SharedSearch(self.recipe(), self.trials, self.proposals(problem), problem)
        return with_finals(search, self.finals, self.recipe(), problem)


class InBatches:
    """A proposer that sees scores when all candidates that were proposed together have theirs.

    Args:
        propose: Proposes; a trial without a score that did not fail is under way.
        num_known: From the number of a trial to that of the trials that are judged when it is proposed.
    """

    def __init__(self, propose: Proposer, num_known: Callable[[int], int]) -> None:
        self.propose, self.num_known = propose, num_known
        self._proposed = 0

    def __call__(self, history: History) -> Any:
        if len(history) < self._proposed:
            self._proposed = 0  # another search, or this one went back to a stored state
        for number in range(self._proposed, len(history)):
            if self.num_known(number) < number:  # it may keep what it learnt, so it lives through it again
                self.propose(self._visible(history[:number]))
        self._proposed = len(history) + 1
        return self.propose(self._visible(history))

    def _visible(self, history: History) -> History:
        known = self.num_known(len(history))
        under_way = [replace(trial, score=None, failed=False) for trial in history[known:]]
        return [*history[:known], *under_way]
