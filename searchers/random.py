"""Random search: the baseline that every other searcher has to beat.

Source: Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019
(arXiv:1902.07638), here without weight sharing: every candidate is trained shortly.
"""

from __future__ import annotations

from typing import Any

from foundation.config import config
from searchers import searcher
from searchers.blackbox import BlackBox
from searchers.candidates import Candidates, History


@searcher("random")
@config
class Random(BlackBox):
    """Random search: candidates drawn uniformly, each trained shortly on one half, judged on the other."""

    def num_known(self, trial: int) -> int:
        return 0  # it learns from none

    def propose(self, candidates: Candidates, history: History) -> Any:
        return candidates.sample(candidates.rng("proposal", history))
