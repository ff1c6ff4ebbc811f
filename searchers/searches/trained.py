"""Candidates judged by a short training each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from evaluators.data import Batches
from evaluators.job import NotFiniteError
from evaluators.recipe import TrainConfig
from evaluators.train import Training
from foundation.errors import InputError
from foundation.seeds import seed_of
from searchers.candidates import History, Trial, best_of, restored, scores, stored
from searchers.searches.problem import Problem

log = logging.getLogger(__name__)


def training_of(
    problem: Problem, recipe: TrainConfig, batches: Batches, genotype: Any, trial: int
) -> Training:
    """The training of a candidate: a function of the problem's seed and the number of the trial."""
    task = problem.task(problem.found(genotype, trial), batches)
    return Training(task, recipe, problem.fabric, seed_of(problem.seed, "trial", trial))


def train_candidate(
    problem: Problem,
    recipe: TrainConfig,
    genotype: Any,
    trial: int,
    after_epoch: Callable[[dict[str, float]], object],
) -> float:
    """Trains one candidate in one go, as a search does with the same number of the trial.

    Args:
        problem: What is searched, on what.
        recipe: How to train.
        genotype: The candidate.
        trial: Its number.
        after_epoch: Called with the figures of every epoch.

    Returns:
        Accuracy on the second half.
    """
    training = training_of(problem, recipe, problem.batches(0, recipe.batch_size), genotype, trial)
    while training.step < training.total_steps:
        training.advance()
        if training.step % training.steps_per_epoch == 0:
            after_epoch(training.report())
    judging = problem.batches(1, recipe.batch_size, training=False)
    return problem.judge(training.trained(), judging)


def figures_of(
    history: History, num_trials: int, last: Mapping[str, float], score: str
) -> dict[str, float | None]:
    """The record of a trial.

    Args:
        history: All trials up to this one.
        num_trials: Trials in all.
        last: Figures of the last epoch of its training.
        score: What candidates are judged by.

    Raises:
        InputError: If it is the last, and every one has failed.
    """
    known = scores(history)
    if len(history) == num_trials and not known:
        raise InputError(
            f"the training of every candidate diverged, {num_trials} of them; "
            "start again with a lower learning rate or gradient clipping"
        )
    figures: dict[str, float | None] = {
        **last,
        f"trial_{score}": history[-1].score,
        f"best_{score}": max(known) if known else None,
    }
    if failed := len(history) - len(known):
        figures["failed_trials"] = float(failed)
    return figures


class TrainedSearch:
    """A search under way: one step is a training step of the present candidate; an epoch is a trial.

    A candidate whose training diverges has failed: it has no score, what is left of its steps does nothing,
    and the search goes on with the next.

    Args:
        recipe: How a candidate is trained.
        num_trials: Candidates.
        propose: What is tried next, given what was tried.
        problem: What is searched, on what.
    """

    def __init__(
        self, recipe: TrainConfig, num_trials: int, propose: Callable[[History], Any], problem: Problem
    ) -> None:
        self.recipe, self.problem, self.propose = recipe, problem, propose
        self.num_trials = num_trials
        self.train_batches = problem.batches(0, recipe.batch_size)
        self.judging_batches = problem.batches(1, recipe.batch_size, training=False)
        self.step = 0
        self.steps_per_epoch = recipe.epochs * len(self.train_batches)
        self.total_steps = num_trials * self.steps_per_epoch
        self.history: list[Trial] = []
        self.begin(propose([]), 0)

    def begin(self, genotype: Any, trial: int) -> None:
        """Begins to train a candidate."""
        self.present = genotype
        self.figures = dict[str, float]()
        self.failed = False
        self.training = training_of(self.problem, self.recipe, self.train_batches, genotype, trial)

    def advance(self) -> None:
        if self.training.step == self.training.total_steps:
            self.begin(self.propose(self.history), len(self.history))
        self.step += 1
        if self.failed:
            self.training.step += 1
        else:
            self._train()
        if self.training.step == self.training.total_steps:
            self.history.append(Trial(genotype=self.present, score=self._score(), failed=self.failed))

    def _train(self) -> None:
        """A step of the present candidate, and after an epoch a look at what became of it."""
        self.training.advance()
        if self.training.step % self.training.steps_per_epoch == 0:
            try:
                self.figures = self.training.report()
            except NotFiniteError as error:
                self.failed, self.figures = True, {}
                reason = str(error).partition(" (")[0]
                log.warning("trial %d failed: %s; %s", len(self.history) + 1, reason, self.present)

    def _score(self) -> float | None:
        if self.failed:
            return None
        score = self.problem.judge(self.training.trained(), self.judging_batches)
        return score - self.problem.price(self.present)

    def check(self) -> None:
        """Nothing: a candidate that diverges has failed, the search has not."""

    def report(self) -> dict[str, float | None]:
        return figures_of(self.history, self.num_trials, self.figures, self.problem.score)

    def genotype(self) -> Any:
        return best_of(self.history) or self.present

    def shares(self) -> None:
        return None

    def weights(self) -> dict[str, Tensor]:
        return self.training.task.model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "history": stored(self.history),
            "present": self.present.to_json(),
            "training": self.training.state_dict(),
            "figures": self.figures,
            "failed": self.failed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.history = state["step"], restored(state["history"], self.problem.space)
        judged = state["training"]["step"] == self.training.total_steps
        self.begin(self.problem.space.read(state["present"]), len(self.history) - judged)
        self.training.load_state_dict(state["training"])
        self.figures, self.failed = state.get("figures", {}), state.get("failed", False)  # since 0.2
