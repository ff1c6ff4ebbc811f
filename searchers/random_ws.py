"""Random search with weight sharing.

Source: Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019
(arXiv:1902.07638), section 4. Differs from it: as many epochs as the other searchers here (theirs: 300, on
batches of 64), and every candidate is judged on the whole second half (theirs: the best ten of a thousand on
one batch).
"""

from __future__ import annotations

from foundation.config import config
from searchers import searcher
from searchers.random import Random


@searcher("random_ws")
@config
class RandomWS(Random):
    """Random search with weight sharing: a supernet, trained path by path, judges uniform draws."""

    trials: int = 100
    """Candidates to judge; more find better ones and take longer."""
    shared: bool = True
    """Judge all candidates with the weights of one supernet; without it this is `random`, which takes far
    longer."""
    epochs: int = 50
    """Passes of the supernet's training over the first half, as many as `darts` makes; more judge better and
    take longer."""
    learning_rate: float = 0.025
    """Learning rate at the first step; higher trains faster and less stably (random_weight_share.py:169 of
    the authors' code)."""
    min_learning_rate: float = 1e-4
    """Learning rate at the end of the cosine, that of `darts`; higher keeps changing the weights to the
    end."""
