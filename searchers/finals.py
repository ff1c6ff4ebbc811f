"""The last phase of a search that has finals: the likeliest few are trained, each alone, and judged.

Weights that are shared or mixed rank candidates roughly: a module whose output is not bounded makes up by
its weights for a small share, one that had few of the drawn paths is judged half trained. A training of its
own judges each as it would be used.

Where the likeliest at a site is the wrong module, so are all finalists: neighbours of the best are tried too.

Sources: Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019
(arXiv:1902.07638), section 4, where the best by shared weights are trained and judged anew; White, Nolen and
Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021 (arXiv:2005.02960), for the
search among neighbours. Differs from them: a network with nothing attached, where the space has it, is always
among the finalists; neighbours come in the order of `neighbours_of`, and the search goes on from the first
that is better.
"""

from __future__ import annotations

from foundation import rules
from foundation.config import config
from foundation.errors import InputError


@config
class Finals:
    """Trainings at the end of a search, of which the best is the answer."""

    count: int = 0
    """Candidates that are trained: the answer of the search, and what it holds to be next best; more miss
    less and take longer. 0 for none: the answer is that of the search."""
    neighbours: int = 0
    """Candidates that are trained after these, each a neighbour of the best so far: without one of its
    operators, with another in its place, with it elsewhere, with one more; more miss less and take longer."""
    epochs: int = 5
    """Passes over the first half in each of these trainings; more judge better and take longer."""
    learning_rate: float | None = None
    """Their learning rate at the first step, falling along half a cosine; that of the search if left out.
    There an operator learns at its share of the rate, here at all of it."""

    @property
    def all_epochs(self) -> int:
        """Epochs of all trainings together."""
        return (self.count + self.neighbours) * self.epochs

    def __post_init__(self) -> None:
        rules.not_negative(self, "count", prefix="finals.", hint="; 0 for none")
        rules.not_negative(self, "neighbours", prefix="finals.", hint="; 0 for none")
        rules.positive(self, "epochs", "learning_rate", prefix="finals.")
        if self.neighbours and not self.count:
            raise InputError("finals.neighbours are those of the best finalist; give finals.count, too")
