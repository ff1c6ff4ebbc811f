"""Random search: the baseline that every other searcher has to beat.

Source: Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019
(arXiv:1902.07638), here without weight sharing: every candidate is trained shortly.
"""

from __future__ import annotations

import random
from typing import Any

from torch import Tensor

from evaluators.recipe import TrainConfig
from evaluators.seeds import seed_of
from evaluators.tasks.classification import ClassificationTask, evaluate
from evaluators.train import Training
from search_space.config import config
from search_space.errors import InputError
from search_space.genotype import Genotype
from searchers import SearcherConfig, searcher
from searchers.problem import Problem


@searcher("random")
@config
class Random(SearcherConfig):
    """Random search: candidates drawn uniformly, each trained shortly on one half, judged on the other."""

    trials: int = 20
    """Candidates."""
    epochs: int = 10
    """Passes of each candidate's training over the first half."""
    batch_size: int = 128
    """Images a step."""
    learning_rate: float = 0.1
    """At first; falls to 0 along half a cosine."""
    weight_decay: float = 5e-4
    """Of the weights."""
    clip: float = 5.0
    """Largest norm of the gradient; 0 for no clipping."""

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InputError(f"trials={self.trials} is not positive")
        self.recipe()

    def recipe(self) -> TrainConfig:
        """How a candidate is trained."""
        return TrainConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip=self.clip,
            select="last",
        )

    def start(self, problem: Problem) -> RandomSearch:
        return RandomSearch(self, problem)


class RandomSearch:
    """A search under way: one step is a training step of the present candidate; an epoch is a trial.

    Args:
        config: Hyper-parameters.
        problem: What is searched, on what.
    """

    def __init__(self, config: Random, problem: Problem) -> None:
        self.config, self.problem = config, problem
        self.train_batches = problem.batches(0, config.batch_size)
        self.judging_batches = problem.batches(1, config.batch_size, training=False)
        self.step = 0
        self.steps_per_epoch = config.epochs * len(self.train_batches)
        self.total_steps = config.trials * self.steps_per_epoch
        self.scores: list[float] = []
        self.training = self._candidate(0)

    def proposal(self, trial: int) -> Genotype:
        """The candidate of a trial."""
        rng = random.Random(seed_of(self.problem.seed, "proposal", trial))
        return self.problem.space.sample(rng)

    def _candidate(self, trial: int) -> Training:
        model = self.problem.found(self.proposal(trial), trial)
        task = ClassificationTask(model, self.train_batches, self.problem.fabric)
        seed = seed_of(self.problem.seed, "trial", trial)
        return Training(task, self.config.recipe(), self.problem.fabric, seed)

    def advance(self) -> None:
        if self.training.step == self.training.total_steps:
            self.training = self._candidate(len(self.scores))
        self.training.advance()
        self.step += 1
        if self.training.step == self.training.total_steps:
            metrics = evaluate(self.training.trained(), self.judging_batches, self.problem.fabric)
            self.scores.append(metrics["accuracy"])

    def check(self) -> None:
        self.training.check()

    def report(self) -> dict[str, float]:
        figures = self.training.report()
        return figures | {"trial_accuracy": self.scores[-1], "best_accuracy": max(self.scores)}

    def genotype(self) -> Genotype:
        return self.proposal(self.best_trial())

    def best_trial(self) -> int:
        """The trial judged best so far; the first before any was judged."""
        return self.scores.index(max(self.scores)) if self.scores else 0

    def shares(self) -> None:
        return None

    def weights(self) -> dict[str, Tensor]:
        return self.training.task.model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "scores": list(self.scores), "training": self.training.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.scores = state["step"], list(state["scores"])
        trial = len(self.scores) - (state["training"]["step"] == self.training.total_steps)
        self.training = self._candidate(trial)
        self.training.load_state_dict(state["training"])
