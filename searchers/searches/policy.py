"""The policy of REINFORCE; searchers/reinforce.py has its sources."""

from __future__ import annotations

from typing import Any

import torch

from foundation.seeds import seed_of
from searchers.candidates import TRIES, Candidates, History, Trial


class Policy:
    """Logits for every edge and candidate, moved by the trials they have seen.

    Args:
        candidates: What may be proposed.
        learning_rate: Learning rate of Adam on the logits.
        momentum: Momentum of the moving average of scores that is the baseline.
    """

    def __init__(self, candidates: Candidates, *, learning_rate: float, momentum: float) -> None:
        self.candidates, self.learning_rate, self.momentum = candidates, learning_rate, momentum
        self._forget()

    def _forget(self) -> None:
        space = self.candidates.space
        generator = torch.Generator().manual_seed(seed_of(self.candidates.seed, "policy"))
        shape = len(space.rows), len(space.candidates)
        self.logits = (1e-3 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
        self.optimizer = torch.optim.Adam([self.logits], lr=self.learning_rate)
        self.baseline, self.weight = 0.0, 0.0
        self.seen = list[Trial]()

    def __call__(self, history: History) -> Any:
        if list(history[: len(self.seen)]) != self.seen:
            self._forget()  # another search, or this one went back to a stored state
        for trial in history[len(self.seen) :]:
            self._learn(trial)
        generator = torch.Generator().manual_seed(seed_of(self.candidates.seed, "proposal", len(history)))
        space = self.candidates.space
        chances = self.logits.detach().softmax(1)
        for _ in range(TRIES):
            drawn = torch.multinomial(chances, 1, generator=generator)[:, 0].tolist()
            genotype = space.genotype([space.candidates[column] for column in drawn])
            if self.candidates.allows(genotype):
                return genotype
        return self.candidates.sample(self.candidates.rng("fallback", history))

    def _learn(self, trial: Trial) -> None:
        """One step of Adam along (score - baseline) times the gradient of the log-likelihood."""
        self.seen.append(trial)
        if trial.score is None:
            return
        momentum = self.momentum
        self.baseline = momentum * self.baseline + (1 - momentum) * trial.score
        self.weight = momentum * self.weight + (1 - momentum)  # what is missing of 1 in the first averages
        space = self.candidates.space
        columns = torch.tensor(
            [space.candidates.index(operator) for operator in space.operators(trial.genotype)]
        )
        likelihood = self.logits.log_softmax(1).gather(1, columns[:, None]).sum()
        loss = -likelihood * (trial.score - self.baseline / self.weight)
        (self.logits.grad,) = torch.autograd.grad(loss, [self.logits])
        self.optimizer.step()
