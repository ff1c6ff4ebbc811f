"""Candidates judged by a short training each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from evaluators.data import Batches
from evaluators.recipe import TrainConfig
from evaluators.tasks.classification.training import ClassificationTask, evaluate
from evaluators.train import Training
from foundation.seeds import seed_of
from search_space.genotype import Genotype
from searchers.candidates import History, Trial, best_of, restored, scores, stored
from searchers.searches.problem import Problem


def training_of(
    problem: Problem, recipe: TrainConfig, batches: Batches, genotype: Genotype, trial: int
) -> Training:
    """The training of a candidate: a function of the problem's seed and the number of the trial."""
    task = ClassificationTask(problem.found(genotype, trial), batches, problem.fabric)
    return Training(task, recipe, problem.fabric, seed_of(problem.seed, "trial", trial))


def train_candidate(
    problem: Problem,
    recipe: TrainConfig,
    genotype: Genotype,
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
    return evaluate(training.trained(), judging, problem.fabric)["accuracy"]


class TrainedSearch:
    """A search under way: one step is a training step of the present candidate; an epoch is a trial.

    Args:
        recipe: How a candidate is trained.
        num_trials: Candidates.
        propose: What is tried next, given what was tried.
        problem: What is searched, on what.
    """

    def __init__(
        self, recipe: TrainConfig, num_trials: int, propose: Callable[[History], Genotype], problem: Problem
    ) -> None:
        self.recipe, self.problem, self.propose = recipe, problem, propose
        self.train_batches = problem.batches(0, recipe.batch_size)
        self.judging_batches = problem.batches(1, recipe.batch_size, training=False)
        self.step = 0
        self.steps_per_epoch = recipe.epochs * len(self.train_batches)
        self.total_steps = num_trials * self.steps_per_epoch
        self.history: list[Trial] = []
        self.begin(propose([]), 0)

    def begin(self, genotype: Genotype, trial: int) -> None:
        """Begins to train a candidate."""
        self.present = genotype
        self.training = training_of(self.problem, self.recipe, self.train_batches, genotype, trial)

    def advance(self) -> None:
        if self.training.step == self.training.total_steps:
            self.begin(self.propose(self.history), len(self.history))
        self.training.advance()
        self.step += 1
        if self.training.step == self.training.total_steps:
            self.training.check()
            metrics = evaluate(self.training.trained(), self.judging_batches, self.problem.fabric)
            self.history.append(Trial(genotype=self.present, score=metrics["accuracy"]))

    def check(self) -> None:
        self.training.check()

    def report(self) -> dict[str, float]:
        known = scores(self.history)
        return self.training.report() | {"trial_accuracy": known[-1], "best_accuracy": max(known)}

    def genotype(self) -> Genotype:
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
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.history = state["step"], restored(state["history"])
        judged = state["training"]["step"] == self.training.total_steps
        self.begin(Genotype.from_json(state["present"]), len(self.history) - judged)
        self.training.load_state_dict(state["training"])
