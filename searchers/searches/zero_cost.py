"""Candidates scored untrained."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from foundation.errors import InputError
from foundation.seeds import seed_of
from searchers.candidates import Trial, best_of, restored, scores, stored
from searchers.searches.problem import Problem
from searchers.zero_cost import ZeroCost


class ZeroCostSearch:
    """A search under way: a step draws a candidate and scores it; so does an epoch.

    All candidates have the same first weights in the backbone, and are scored on the same batch. One whose
    score is not finite has failed.

    Args:
        config: How many, by which score.
        problem: What is searched, on what.
    """

    def __init__(self, config: ZeroCost, problem: Problem) -> None:
        module, _, name = config.score.partition(":")
        self.measure = getattr(import_module(module), name)
        self.problem, self.step = problem, 0
        self.steps_per_epoch, self.total_steps = 1, config.trials
        self.candidates = problem.candidates
        self.images: Tensor = problem.batches(0, config.batch_size).batch(0, 0)[0]
        self.history: list[Trial] = []
        problem.found(self._draw(), "zero cost")  # what cannot be built shows now

    def _draw(self) -> Any:
        return self.candidates.sample(self.candidates.rng("proposal", self.history))

    def judge(self, genotype: Any) -> float:
        """The score of a candidate."""
        network = self.problem.found(genotype, "zero cost")
        torch.manual_seed(seed_of(self.problem.seed, "zero cost"))
        return float(self.problem.fabric.broadcast(self.measure(network, self.images)))

    def advance(self) -> None:
        genotype = self._draw()
        score = self.judge(genotype)
        is_number = math.isfinite(score)
        self.history.append(
            Trial(genotype=genotype, score=score if is_number else None, failed=not is_number)
        )
        self.step += 1

    def check(self) -> None:
        """Nothing: a candidate without a score has failed, the search has not."""

    def report(self) -> dict[str, float | None]:
        known = scores(self.history)
        if len(self.history) == self.total_steps and not known:
            raise InputError(f"none of the {self.total_steps} candidates has a finite score")
        figures: dict[str, float | None] = {
            "trial_score": self.history[-1].score,
            "best_score": max(known) if known else None,
        }
        if failed := len(self.history) - len(known):
            figures["failed_trials"] = float(failed)
        return figures

    def genotype(self) -> Any:
        return best_of(self.history) or self._draw()

    def shares(self) -> None:
        return None

    def weights(self) -> dict[str, Tensor]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "history": stored(self.history)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.history = state["step"], restored(state["history"], self.problem.space)


def start(config: ZeroCost, problem: Problem) -> ZeroCostSearch:
    """A new search."""
    return ZeroCostSearch(config, problem)
