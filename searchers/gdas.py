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
    """Passes over both halves of the training set; more take longer and let the alphas settle
    (GDAS-NASNet-CIFAR.config)."""
    batch_size: int = 256
    """Images in a step from each half, over all processes; more need more memory and make fewer steps
    (GDAS-NASNet-CIFAR.config)."""
    min_learning_rate: float = 1e-3
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (GDAS-NASNet-CIFAR.config, as is 0.025 at first)."""
    nesterov: bool = True
    """Use Nesterov's momentum for the weights: the gradient is taken where the momentum leads
    (GDAS-NASNet-CIFAR.config, as is the weight decay 5e-4)."""
    alpha_learning_rate: float = 3e-4
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (the search script, as are the
    betas and the weight decay)."""
    temperature: float = 10.0
    """Temperature of the softmax at the first epoch; higher draws more evenly (the search script:
    tau_max)."""
    min_temperature: float = 0.1
    """Temperature of the softmax in the last epoch, reached along a line; lower draws the strongest operator
    more surely (the search script: tau_min)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperatures(self.temperature, self.min_temperature)
