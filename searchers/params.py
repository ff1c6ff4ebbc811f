"""Most parameters: a baseline of what is scored without training.

Source: Abdelfattah et al., ICLR 2021 (arXiv:2101.08134).
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.zero_cost import ZeroCost


@searcher("params")
@config
class Params(ZeroCost):
    """Without training: the draw of the most parameters; a baseline."""

    score: ClassVar[str] = "evaluators.zero_cost.size:num_params"
