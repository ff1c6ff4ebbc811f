"""Differentiable sampling: every step computes one operator an edge.

Source: Dong and Yang, "Searching for A Robust Neural Architecture in Four GPU Hours", CVPR 2019
(arXiv:1910.04465), with the settings of the authors' public code (D-X-Y/AutoDL-Projects,
configs/search-opts/GDAS-NASNet-CIFAR.config and its search script for that space).
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.settings import Differentiable, check_temperatures


@searcher("gdas")
@config
class Gdas(Differentiable):
    """GDAS: one operator an edge is drawn, computed and rewarded; a fraction of the cost of `darts`."""

    search: ClassVar[str] = "searchers.searches.gdas:start"

    epochs: int = 250
    """Passes over the halves (GDAS-NASNet-CIFAR.config)."""
    batch_size: int = 256
    """Images a step, from each half (the same)."""
    min_learning_rate: float = 1e-3
    """At the end of the cosine (the same; 0.025 at first as well)."""
    nesterov: bool = True
    """Whether the weights' momentum is Nesterov's (the same; decay 5e-4 as well)."""
    alpha_learning_rate: float = 3e-4
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (the search script; betas and
    decay as well)."""
    temperature: float = 10.0
    """Temperature of the softmax at the first epoch; higher draws more evenly (the search script:
    tau_max)."""
    min_temperature: float = 0.1
    """In the last epoch, reached along a line (the search script: tau_min)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperatures(self.temperature, self.min_temperature)
