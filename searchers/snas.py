"""Stochastic search: soft draws that harden, weights and alphas in one backward pass.

Source: Xie et al., "SNAS: Stochastic Neural Architecture Search", ICLR 2019 (arXiv:1812.09926).
Settings and the course of the temperature in its appendix are UNKNOWN here: those not chosen here are as in
`darts`.
"""

from __future__ import annotations

from typing import ClassVar

from foundation.config import config
from searchers import searcher
from searchers.settings import Differentiable, check_temperatures


@searcher("snas")
@config
class Snas(Differentiable):
    """SNAS: mixtures drawn from a concrete distribution; one loss trains weights and alphas at once."""

    search: ClassVar[str] = "searchers.searches.snas:start"

    temperature: float = 1.0
    """Temperature of the softmax in the first epoch; higher draws more even mixtures (chosen here)."""
    min_temperature: float = 0.1
    """Temperature of the softmax in the last epoch, reached by equal factors; lower draws mixtures that are
    nearer to one operator (chosen here)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperatures(self.temperature, self.min_temperature)
