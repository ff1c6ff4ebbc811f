"""The genotypes that a black-box searcher draws from, which keep the limits, and the trials it has seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.seeds import seed_of
from search_space.searchable import Searchable
from searchers.limits import Limits

TRIES = 100
"""Uniform draws after which a genotype is computed instead: where few genotypes keep the limits, drawing on
would take forever."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A genotype that was proposed, and how good it was.

    Attributes:
        genotype: The genotype that was proposed.
        score: Accuracy, 0 to 1, higher is better; None before it is measured, and where the trial failed.
        failed: Whether the trial ended without a score and will not be repeated.
    """

    genotype: Any
    score: float | None
    failed: bool = False


History = Sequence[Trial]
"""All trials that were proposed, in the order of the proposals."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The genotypes of a space that keep the limits.

    Attributes:
        space: The search space that they are from.
        limits: Limits on cost that they have to keep; None for all of the space.
        seed: Seed of the search; the same seed gives the same draws.
    """

    space: Searchable
    limits: Limits | None
    seed: int

    def rng(self, purpose: str, history: History) -> random.Random:
        """Random numbers that depend on the seed, the purpose and the number of the proposal alone."""
        return random.Random(seed_of(self.seed, purpose, len(history)))

    def allows(self, genotype: Any) -> bool:
        """Whether a genotype keeps the limits, and has in each row what fits there."""
        decided, primitives = self.space.decided(genotype), self.space.primitives
        if not all(primitives.index(name) in self.space.columns_at(row) for row, name in decided.items()):
            return False
        return self.limits is None or self.limits.allows(genotype)

    def sample(self, rng: random.Random) -> Any:
        """A genotype drawn uniformly among those that keep the limits.

        Draws that do not keep them are rejected; after `TRIES` of them, the best genotype within the limits
        under random scores is taken.
        """
        for _ in range(TRIES):
            genotype = self.space.sample(rng)
            if self.allows(genotype):
                return genotype
        assert self.limits is not None
        return self.limits.best([[rng.random() for _ in self.space.primitives] for _ in self.space.rows])

    def mutate(self, genotype: Any, rng: random.Random) -> Any:
        """A genotype with another operator on one edge, drawn uniformly; a fresh draw where there is none."""
        if self.limits is None and self.space.size > 1:
            return self.space.mutate(genotype, rng)
        neighbours = [other for other in self.space.neighbours(genotype) if self.allows(other)]
        return rng.choice(neighbours) if neighbours else self.sample(rng)


def scores(history: History) -> list[float]:
    """The scores that are known, in order."""
    return [trial.score for trial in history if trial.score is not None]


def best_of(history: History) -> Any:
    """The genotype judged best, the first one of equals; None before any was judged."""
    known = [(trial.score, -number) for number, trial in enumerate(history) if trial.score is not None]
    return history[-max(known)[1]].genotype if known else None


def stored(history: History) -> list[dict[str, Any]]:
    """A history as plain values."""
    return [
        {"genotype": trial.genotype.to_json(), "score": trial.score, "failed": trial.failed}
        for trial in history
    ]


def restored(values: Sequence[dict[str, Any]], space: Searchable) -> list[Trial]:
    """A history of trials of a space from plain values."""
    return [
        Trial(genotype=space.read(value["genotype"]), score=value["score"], failed=value["failed"])
        for value in values
    ]
