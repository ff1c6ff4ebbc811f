"""Partial channels: a quarter of the channels is mixed, and edges are weighed beside operators.

Source: Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search",
ICLR 2020 (arXiv:1907.05737): partial channel connections and edge normalisation, with the settings of the
public code (yuhuixu1993/PC-DARTS, train_search.py).
"""

from __future__ import annotations

from typing import ClassVar

from foundation import rules
from foundation.config import config
from searchers import searcher
from searchers.settings import Differentiable


@searcher("pc_darts")
@config
class PcDarts(Differentiable):
    """PC-DARTS: mixtures of a part of the channels, and a weight of every edge; saves memory."""

    search: ClassVar[str] = "searchers.searches.pc_darts:start"

    batch_size: int = 256
    """Images in a step from each half, over all processes; more need more memory and make fewer steps
    (train_search.py)."""
    learning_rate: float = 0.1
    """Learning rate of the weights' SGD at the first step; higher trains faster and less stably
    (train_search.py)."""
    min_learning_rate: float = 1e-3
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (train_search.py)."""
    weight_decay: float = 3e-4
    """Weight decay of the weights; higher keeps them smaller (train_search.py)."""
    alpha_learning_rate: float = 6e-4
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (train_search.py)."""
    alpha_warmup: float = 0.3
    """Share of the epochs, at first, in which the alphas rest and the weights alone are trained; higher
    judges the operators later and better trained (train_search.py: 15 of 50)."""
    parts: int = 4
    """Parts that each edge's channels are divided into, one of which is mixed, at least one channel; more
    save memory and judge the operators on fewer channels (the paper's K = 4)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "parts", hint="; 1 mixes all channels")
