"""Synaptic flow, without training.

Source: Tanaka et al., NeurIPS 2020 (arXiv:2006.05467); as a search: Abdelfattah et al., ICLR 2021.
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.zero_cost import ZeroCost


@searcher("synflow")
@config
class Synflow(ZeroCost):
    """Without training: the draw of the highest synaptic flow."""

    score: ClassVar[str] = "evaluators.zero_cost.synflow:synflow"
