"""Regularised evolution.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019
(arXiv:1802.01548), algorithm 1. Differs from it: a child has one edge's operator changed, as cells here keep
all their edges; and the supernet may judge instead of a training.
"""

from __future__ import annotations

from search_space.config import config
from search_space.errors import InputError
from search_space.genotype import Genotype
from searchers import searcher
from searchers.blackbox import BlackBox
from searchers.candidates import Candidates, History


@searcher("evolution")
@config
class Evolution(BlackBox):
    """Regularised evolution: the best of a sample of the youngest has a child, and the oldest dies."""

    trials: int = 1000
    """Candidates (the paper: 20,000, each trained)."""
    population: int = 100
    """Trials that are alive: the youngest (appendix A: P = 100); the first ones are drawn uniformly."""
    sample: int = 25
    """Members of the population drawn, with replacement; the best is the parent, so higher is greedier
    (appendix A: S = 25)."""
    shared: bool = True
    """Whether one supernet judges all candidates; without it each is trained."""
    epochs: int = 50
    """Passes over the first half: of the supernet's training, or of each candidate's."""
    learning_rate: float = 0.025
    """At first; that of `darts`."""
    min_learning_rate: float = 1e-4
    """At the end of the cosine; that of `darts`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("population", "sample"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} is not positive")

    def propose(self, candidates: Candidates, history: History) -> Genotype:
        rng = candidates.rng("proposal", history)
        alive = [trial for trial in history if trial.score is not None][-self.population :]
        if len(history) < self.population or not alive:
            return candidates.sample(rng)
        # max keeps the first of equals, and the draws are in random order
        parent = max((rng.choice(alive) for _ in range(self.sample)), key=lambda trial: trial.score or 0.0)
        return candidates.mutate(parent.genotype, rng)
