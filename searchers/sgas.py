"""Sequential greedy search: the edge that is surest of its operator is decided first, then the next.

Source: Li et al., "SGAS: Sequential Greedy Architecture Search", CVPR 2020 (arXiv:1912.00195), with the
settings and formulas of the public code (lightaime/sgas, cnn/train_search.py).
"""

from __future__ import annotations

from typing import ClassVar

from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from searchers import searcher
from searchers.settings import Differentiable


@searcher("sgas")
@config
class Sgas(Differentiable):
    """SGAS: as `darts`, but edges are decided one by one on the way, so that the end changes little."""

    search: ClassVar[str] = "searchers.searches.sgas:start"

    batch_size: int = 64
    """Images in a step from each half, over all processes; more need more memory and make fewer steps
    (train_search.py)."""
    min_learning_rate: float = 1e-3
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (train_search.py, as is 0.025 at first)."""
    weight_decay: float = 3e-4
    """Weight decay of the weights; higher keeps them smaller (train_search.py)."""
    alpha_learning_rate: float = 3e-4
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (train_search.py)."""
    before: float = 0.18
    """Share of the epochs before the first edge is decided; higher decides later and better trained
    (train_search.py: 9 of 50)."""
    after: float = 0.1
    """Share of the epochs after the last edge is decided, the decisions being spread in between; higher
    decides faster and trains the decided cell longer (train_search.py: 5 of 50)."""
    stability: bool = False
    """Decide an edge by how stable its alphas are as well (criterion 2), not only by how important and
    certain it is (criterion 1)."""
    history: int = 4
    """Epochs that stability is measured over; more ask for longer stability (train_search.py)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.below_one(self, "before", "after")
        rules.positive(self, "history")
        if self.before + self.after >= 1:
            raise InputError(f"before={self.before} and after={self.after} leave no epoch for decisions")
        if self.derive == "perturbation":
            raise InputError("sgas decides the edges itself; leave derive=perturbation to other searchers")
