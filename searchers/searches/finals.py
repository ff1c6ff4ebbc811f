"""A search and its finals; searchers/finals.py says what they are for."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from torch import Tensor, nn

from evaluators.data import Batches
from evaluators.job import NotFiniteError
from evaluators.recipe import TrainConfig
from evaluators.train import Training
from foundation.seeds import seed_of
from search_space.places import Places
from search_space.space import NONE
from searchers import Search, Shares
from searchers.candidates import Trial, best_of, restored, scores, stored
from searchers.finals import Finals
from searchers.searches.neighbours import neighbours_of
from searchers.searches.problem import Problem

log = logging.getLogger(__name__)

MOST_RANKED = 1000
"""Candidates of the ranking that are looked at; a larger space may have more that only add to another."""


class Ranking(Search, Protocol):
    """A search that says what it holds to be best, next best and so on."""

    def ranked(self) -> Iterator[Any]:
        """Genotypes that keep the limits by decreasing promise, its answer first."""
        ...


class FinalTask:
    """A finalist with the loss and the batches of the search.

    Args:
        problem: What is searched, on what.
        network: The finalist.
        train: Batches of the first half.
    """

    has_validation: bool = False

    def __init__(self, problem: Problem, network: nn.Module, train: Batches) -> None:
        self.problem, self.model, self.train = problem, network, train
        self.score, self.figures = problem.figure, (problem.figure,)
        self.num_batches = len(train)

    def batch(self, epoch: int, index: int) -> Any:
        return self.train.batch(epoch, index)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        return self.problem.loss(model, *batch)

    def evaluate(self, model: nn.Module, split: Any) -> dict[str, float]:
        raise AssertionError("a finalist has no validation part; it is judged")


class FinalSearch:
    """A search, then a training for each of the likeliest candidates, and for neighbours of the best.

    A step of the finals is a step of a training; a training takes whole epochs of the search, and what their
    last steps have too many does nothing. All trainings see the same batches in the same order. One that
    diverges has no score.

    Attributes:
        search: The search before the finals.
        finalists: What is trained, the present one last or not yet; None before the search has ended.
        neighbours: How many neighbours of the best are still to be trained.

    Args:
        search: A search at step 0.
        config: How many are trained, how long.
        recipe: How; its epochs are those of the finals.
        problem: What is searched, on what.
    """

    def __init__(self, search: Ranking, config: Finals, recipe: TrainConfig, problem: Problem) -> None:
        self.search, self.problem = search, problem
        self.num_finalists, self.neighbours = config.count, config.neighbours
        norm = getattr(problem, "norm", recipe.norm)
        self.recipe = replace(recipe, epochs=config.epochs, select="last", norm=norm)
        if (rate := config.learning_rate) is not None:
            lowest = min(rate, recipe.min_learning_rate)
            self.recipe = replace(self.recipe, learning_rate=rate, min_learning_rate=lowest)
        self.train_batches = problem.batches(0, recipe.batch_size)
        self.judging_batches = problem.batches(1, recipe.batch_size, training=False)
        self.steps_per_epoch = search.steps_per_epoch
        epochs = math.ceil(config.epochs * len(self.train_batches) / self.steps_per_epoch)
        self.steps_each = epochs * self.steps_per_epoch
        self.step = 0
        self.finalists: list[Any] | None = None
        self.history: list[Trial] = []
        self._plan()

    @property
    def stopped(self) -> str | None:
        """Why a guard ended the search before its finals; None where none did."""
        return getattr(self.search, "stopped", None)

    def advance(self) -> None:
        if self.search.step < self.search.total_steps:
            self.search.advance()
        else:
            if self.finalists is None:
                self.finalists = finalists_of(self.search, self.problem, self.num_finalists)
                log.info(
                    "%sfinals: %d candidates%s, %d steps each",
                    f"{self.stopped}; " if self.stopped else "",
                    len(self.finalists),
                    f" and up to {self.neighbours} neighbours of the best" if self.neighbours else "",
                    self.steps_each,
                )
                self._begin()
            self._train((self.step - self.search.total_steps) % self.steps_each)
        self.step += 1
        self._plan()

    def _plan(self) -> None:
        """How many steps there are, as far as is known."""
        rounds = self.num_finalists if self.finalists is None else len(self.finalists)
        self.total_steps = self.search.total_steps + (rounds + self.neighbours) * self.steps_each

    def _begin(self) -> None:
        """Begins to train the next finalist; one in which nothing learns is judged as it is."""
        assert self.finalists is not None
        self.failed = False
        self.training = self.training_of(self.finalists[len(self.history)])

    def training_of(self, genotype: Any) -> Training | None:
        """The training of a finalist, all of the same order of batches; None where nothing learns."""
        self.network: nn.Module = self.problem.found(genotype, "final")
        if not any(weight.requires_grad for weight in self.network.parameters()):
            return None
        task = FinalTask(self.problem, self.network, self.train_batches)
        return Training(task, self.recipe, self.problem.fabric, seed_of(self.problem.seed, "final"))

    def _train(self, number: int) -> None:
        """A step of the present finalist; with its last one it is judged."""
        assert self.finalists is not None
        training = self.training
        if training is not None and not self.failed and training.step < training.total_steps:
            training.advance()
            if training.step % training.steps_per_epoch == 0:
                try:
                    training.check()
                except NotFiniteError as error:
                    self.failed = True
                    log.warning("a finalist failed: %s; %s", error, self.finalists[len(self.history)])
        if number + 1 == self.steps_each:
            present, score = self.finalists[len(self.history)], None
            if not self.failed:
                judged = self.network if training is None else training.trained()
                score = self.problem.judge(judged, self.judging_batches) - self.problem.price(present)
            self.history.append(Trial(genotype=present, score=score, failed=self.failed))
            told = "no score" if score is None else f"{self.problem.score} less its price {score:.4g}"
            most = len(self.finalists) + self.neighbours
            log.info("final %d of at most %d: %s; %s", len(self.history), most, told, present)
            if len(self.history) == len(self.finalists) and self.neighbours:
                self._add_neighbour(self.finalists)
            if len(self.history) < len(self.finalists):
                self._begin()

    def _add_neighbour(self, finalists: list[Any]) -> None:
        """Adds a neighbour of the best so far that was not trained, if there is one."""
        problem, best = self.problem, self.genotype()
        rng = random.Random(seed_of(problem.seed, "neighbours", best.to_json()))
        known = {trial.genotype: trial.score for trial in self.history if trial.score is not None}
        near = neighbours_of(best, problem.candidates, rng, known)
        untried = (each for each in near if each not in finalists)
        if (other := next(untried, None)) is None:
            self.neighbours = 0
        else:
            self.neighbours -= 1
            finalists.append(other)

    def check(self) -> None:
        if self.finalists is None:
            self.search.check()

    def report(self) -> dict[str, float | None]:
        if self.finalists is None:
            return dict(self.search.report())
        known = scores(self.history)
        last = self.history[-1].score if self.history else None
        name = self.problem.score
        return {f"final_{name}": last, f"best_final_{name}": max(known) if known else None}

    def genotype(self) -> Any:
        return best_of(self.history) or self.search.genotype()

    def shares(self) -> Shares | None:
        return self.search.shares()

    def weights(self) -> dict[str, Tensor]:
        return self.search.weights()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"step": self.step, "search": self.search.state_dict(), "finals": None}
        if self.finalists is not None:
            going = len(self.history) < len(self.finalists) and self.training is not None
            state["finals"] = {
                "finalists": [finalist.to_json() for finalist in self.finalists],
                "neighbours": self.neighbours,
                "history": stored(self.history),
                "training": self.training.state_dict() if going and self.training is not None else None,
                "failed": self.failed,
            }
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, finals, space = state["step"], state["finals"], self.problem.space
        self.search.load_state_dict(state["search"])
        self.finalists, self.history = None, []
        if finals is not None:
            self.finalists = [space.read(text) for text in finals["finalists"]]
            self.history = restored(finals["history"], space)
            self.neighbours = finals.get("neighbours", 0)  # before version 0.2 there were none
            if len(self.history) < len(self.finalists):
                self._begin()
                if self.training is not None:
                    self.training.load_state_dict(finals["training"])
            self.failed = finals["failed"]
        self._plan()


def with_finals(search: Ranking, config: Finals, recipe: TrainConfig, problem: Problem) -> Search:
    """A search with its finals, where it has any."""
    return FinalSearch(search, config, recipe, problem) if config.count else search


def finalists_of(search: Ranking, problem: Problem, number: int) -> list[Any]:
    """What is trained at the end: nothing attached, where that can be, then the likeliest.

    Placements that only add to one that ranks higher are left out: by its ranking the search is against it,
    and they are so many, and so alike, that nothing else would be tried.
    """
    space = problem.space
    names = [[space.primitives[column] for column in space.columns_at(row)] for row in space.rows]
    empty = isinstance(space, Places) and all(NONE in known for known in names)
    nothing = [space.genotype([NONE] * len(names))] if empty else []
    kept = [each for each in nothing if problem.candidates.allows(each)]
    finalists = list[Any](kept)
    taken = list[set[tuple[Any, str]]]()
    for each in islice(search.ranked(), MOST_RANKED):
        if len(finalists) >= number:
            break
        ours = {pair for pair in space.decided(each).items() if pair[1] != NONE}
        if each not in kept and not (empty and any(theirs and theirs < ours for theirs in taken)):
            finalists.append(each)
            taken.append(ours)
    return finalists[:number]
