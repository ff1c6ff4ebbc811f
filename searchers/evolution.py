"""Regularised evolution.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019
(arXiv:1802.01548), algorithm 1. Differs from it: a child has one edge's operator changed, as cells here keep
all their edges; and the supernet may judge instead of a training.
"""

from __future__ import annotations

from typing import Any

from foundation import rules
from foundation.config import config
from searchers import searcher
from searchers.blackbox import BlackBox
from searchers.candidates import Candidates, History

POPULATION = 100
"""Trials that are alive at a time, as in appendix A of the paper."""


@searcher("evolution")
@config
class Evolution(BlackBox):
    """Regularised evolution: the best of a sample of the youngest has a child, and the oldest dies."""

    trials: int = 1000
    """Candidates to judge; more find better ones and take longer (the paper: 20,000, each trained)."""
    population: int | None = None
    """Youngest trials that may have children; the first so many are drawn uniformly, so more explore longer.
    100 if left out (appendix A), or half of the trials where that is less."""
    sample: int | None = None
    """Members of the population that are drawn, with replacement, for the best of them to have a child; more
    are greedier. A quarter of the population if left out (appendix A: 25 of 100)."""
    shared: bool = True
    """Judge all candidates with the weights of one supernet; without it each is trained, which takes far
    longer."""
    epochs: int = 50
    """Passes over the first half in the supernet's training, or in each candidate's; more judge better and
    take longer."""
    learning_rate: float = 0.025
    """Learning rate at the first step, that of `darts`; higher trains faster and less stably."""
    min_learning_rate: float = 1e-4
    """Learning rate at the end of the cosine, that of `darts`; higher keeps changing the weights to the
    end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "population", "sample")

    def first_draws(self) -> int:
        return self.at_most_half(self.population, POPULATION)

    def num_known(self, trial: int) -> int:
        first = self.first_draws()  # which depend on no score
        return 0 if trial < first else first + super().num_known(trial - first)

    def propose(self, candidates: Candidates, history: History) -> Any:
        population = self.first_draws()
        sample = self.sample or max(1, population // 4)
        rng = candidates.rng("proposal", history)
        alive = [trial for trial in history if trial.score is not None][-population:]
        if len(history) < population or not alive:
            return candidates.sample(rng)
        # max keeps the first of equals, and the draws are in random order
        parent = max((rng.choice(alive) for _ in range(sample)), key=lambda trial: trial.score or 0.0)
        return candidates.mutate(parent.genotype, rng)
