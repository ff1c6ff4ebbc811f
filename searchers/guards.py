"""Watches over a differentiable search: figures of its health, and rules that stop it before it collapses.

Sources: Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020
(arXiv:1909.09656; public code automl/RobustDARTS); Liang et al., "DARTS+: Improved Differentiable
Architecture Search with Early Stopping" (arXiv:1909.06035).
"""

from __future__ import annotations

from foundation import rules
from foundation.config import config
from foundation.errors import InputError


@config
class Guards:
    """What is measured after every epoch, and which rules stop the search early."""

    most_skips: int = 0
    """The most edges whose strongest operator may be skip_connect. With more, once the alphas move, the
    search stops; the answer is that of the newest epoch that had no more, or, where none had, that of the
    last epoch without what is too many. Lower stops sooner; 0 for no such rule (DARTS+ stops at 2 of a cell's
    8)."""
    curvature_every: int = 0
    """Epochs between two measurements of the largest eigenvalue of the alphas' Hessian, which grows before a
    search collapses; each costs about as much as twenty steps. 0 for none."""
    most_growth: float = 0.0
    """Largest factor by which that eigenvalue, averaged over a window, may grow since the window before;
    beyond it the search stops and the answer is that of the window before. Lower stops sooner; 0 for no such
    rule (RobustDARTS: 1.3)."""
    window: int = 5
    """Measurements that a window averages over; more are steadier and stop later (RobustDARTS: 5)."""

    def __post_init__(self) -> None:
        off = "; 0 turns it off"
        rules.not_negative(self, "most_skips", "curvature_every", "most_growth", prefix="guards.", hint=off)
        rules.positive(self, "window", prefix="guards.")
        if self.most_growth and not self.curvature_every:
            raise InputError("guards.most_growth needs measurements: give guards.curvature_every as well")
