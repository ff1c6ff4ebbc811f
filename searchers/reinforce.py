"""Policy gradient over the operators of the edges.

Sources: Williams, "Simple statistical gradient-following algorithms", Machine Learning 1992; settings and the
policy, logits for every edge, as in Dong et al., "NATS-Bench", TPAMI 2021 (arXiv:2009.00437; reinforce.py of
its code), where it stands for Zoph and Le, ICLR 2017 (arXiv:1611.01578).
"""

from __future__ import annotations

from foundation import rules
from foundation.config import config
from searchers import searcher
from searchers.blackbox import BlackBox, Proposer
from searchers.candidates import Candidates


@searcher("reinforce")
@config
class Reinforce(BlackBox):
    """REINFORCE: operators drawn from logits that follow the score's gradient, with a moving baseline."""

    trials: int = 1000
    """Candidates to judge; more find better ones and take longer."""
    policy_learning_rate: float = 0.01
    """Learning rate of Adam on the logits; higher settles sooner and less surely (NATS-Bench,
    reinforce.py:5)."""
    baseline_momentum: float = 0.9
    """Momentum of the moving average of scores that is the baseline; higher remembers longer (NATS-Bench,
    reinforce.py:233)."""
    shared: bool = True
    """Judge all candidates with the weights of one supernet; without it each is trained, which takes far
    longer."""
    epochs: int = 50
    """Passes over the first half in the supernet's training, or in each candidate's; more judge better and
    take longer."""
    learning_rate: float = 0.025
    """Learning rate at the first step, that of `darts`; higher trains faster and less stably."""
    min_learning_rate: float = 1e-4
    """Learning rate at the end of the cosine, that of `darts`; higher keeps changing the weights to the
    end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "policy_learning_rate")
        rules.below_one(self, "baseline_momentum")

    def proposer(self, candidates: Candidates) -> Proposer:
        from searchers.searches.policy import Policy

        return Policy(candidates, learning_rate=self.policy_learning_rate, momentum=self.baseline_momentum)
