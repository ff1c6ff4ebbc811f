"""Operators that do not compete: a sigmoid each, driven to 0 or 1.

Source: Chu et al., "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search",
ECCV 2020 (arXiv:1911.12126), with the settings of the public code (xiaomi-automl/FairDARTS, fairdarts/).
"""

from __future__ import annotations

from typing import ClassVar

from foundation import rules
from foundation.config import config
from searchers import searcher
from searchers.settings import Differentiable


@searcher("fair_darts")
@config
class FairDarts(Differentiable):
    """Fair DARTS: every operator has a weight of its own in 0 ... 1, and a loss that asks it to decide."""

    search: ClassVar[str] = "searchers.searches.fair_darts:start"

    learning_rate: float = 0.005
    """Learning rate of the weights' SGD at the first step; higher trains faster and less stably
    (train_search.py)."""
    min_learning_rate: float = 1e-3
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (train_search.py)."""
    weight_decay: float = 3e-4
    """Weight decay of the weights; higher keeps them smaller (train_search.py)."""
    alpha_betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the averages in the alphas' Adam; higher remembers longer (train_search.py, as are the
    learning rate 3e-3 and the weight decay 1e-3)."""
    zero_one: float = 10.0
    """Factor of the zero-one loss, which drives the operators' weights to 0 or 1; higher decides sooner
    (train_search.py: aux_loss_weight)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.not_negative(self, "zero_one")
