"""The Zen-score, without training.

Source: Lin et al., "Zen-NAS", ICCV 2021 (arXiv:2102.01063), here of uniform draws.
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.zero_cost import ZeroCost


@searcher("zen")
@config
class Zen(ZeroCost):
    """Without training: the draw of the highest Zen-score."""

    score: ClassVar[str] = "evaluators.zero_cost.zen:zen"
