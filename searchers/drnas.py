"""Dirichlet search: the mixture itself is drawn, and its concentrations are learnt.

Source: Chen et al., "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021 (arXiv:2006.10355), with the
settings of the public code (xiangning-chen/DrNAS, DARTS-space/).
"""

from __future__ import annotations

from typing import ClassVar

from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from searchers import searcher
from searchers.settings import Differentiable


@searcher("drnas")
@config
class DrNas(Differentiable):
    """DrNAS: mixtures drawn from a Dirichlet distribution; half of the operators leave halfway."""

    search: ClassVar[str] = "searchers.searches.drnas:start"

    batch_size: int = 64
    """Images in a step from each half, over all processes; more need more memory and make fewer steps
    (train_search.py)."""
    learning_rate: float = 0.1
    """Learning rate of the weights' SGD at the first step; higher trains faster and less stably
    (train_search.py)."""
    min_learning_rate: float = 0.0
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (train_search.py)."""
    weight_decay: float = 3e-4
    """Weight decay of the weights; higher keeps them smaller (train_search.py)."""
    alpha_learning_rate: float = 6e-4
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (train_search.py)."""
    alpha_weight_decay: float = 1e-3
    """Weight decay of the alphas, towards concentrations of 1; higher keeps the operators closer together
    (the public code's distance to the prior, reg_type l2)."""
    alpha_warmup: float = 0.2
    """Share of the epochs, at first, in which the alphas rest and the weights alone are trained; higher
    judges the operators later and better trained (train_search.py: 10 of a stage's 25)."""
    kl: float = 0.0
    """Factor in the loss of the divergence from the prior, the other way to keep the operators close
    together; higher does so more. 0 for none (in the public code 1e-3, without the weight decay)."""
    keep: float = 0.5
    """Share of the primitives that stay on an edge after half of the epochs; lower is faster and drops more
    that might have won. 1 keeps all (train_search.py: 4 of 8 for its second stage)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.not_negative(self, "kl")
        if not 0 < self.keep <= 1:
            raise InputError(f"keep={self.keep} is not in 0 ... 1 (0 excluded)")
