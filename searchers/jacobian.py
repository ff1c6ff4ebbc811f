"""Covariance of Jacobians, without training.

Source: Mellor et al., "Neural Architecture Search without Training", ICML 2021 (arXiv:2006.04647), version 1.
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.zero_cost import ZeroCost


@searcher("jacobian")
@config
class Jacobian(ZeroCost):
    """Without training: the draw whose Jacobians of a batch of images are least alike."""

    score: ClassVar[str] = "evaluators.zero_cost.jacobian:jacobian_covariance"
