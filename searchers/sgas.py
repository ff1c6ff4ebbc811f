"""Sequential greedy search: the edge that is surest of its operator is decided first, then the next.

Source: Li et al., "SGAS: Sequential Greedy Architecture Search", CVPR 2020 (arXiv:1912.00195), with the
settings and formulas of the public code (lightaime/sgas, cnn/train_search.py).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from search_space.config import config
from search_space.errors import InputError
from search_space.space import NONE
from searchers import searcher
from searchers.differentiable import DifferentiableSearch
from searchers.problem import Problem
from searchers.settings import Differentiable


@searcher("sgas")
@config
class Sgas(Differentiable):
    """SGAS: as `darts`, but edges are decided one by one on the way, so that the end changes little."""

    batch_size: int = 64
    """Images a step, from each half (train_search.py)."""
    min_learning_rate: float = 1e-3
    """At the end of the cosine (train_search.py; 0.025 at first as well)."""
    weight_decay: float = 3e-4
    """Of the weights (train_search.py)."""
    alpha_learning_rate: float = 3e-4
    """Of the alphas' Adam (train_search.py)."""
    before: float = 0.18
    """Share of the epochs before the first decision (train_search.py: 9 of 50)."""
    after: float = 0.1
    """Share of the epochs after the last (train_search.py: 5 of 50); decisions are spread in between."""
    stability: bool = False
    """Whether an edge has to be stable as well (criterion 2), besides important and certain (criterion 1)."""
    history: int = 4
    """Epochs that stability is measured over (train_search.py)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("before", "after"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} is not in 0 ... 1 (1 excluded)")
        if self.before + self.after >= 1:
            raise InputError(f"before={self.before} and after={self.after} leave no epoch for decisions")
        if self.derive == "perturbation":
            raise InputError("sgas decides the edges itself; leave derive=perturbation to other searchers")
        if self.history < 1:
            raise InputError(f"history={self.history} is not positive")

    def start(self, problem: Problem) -> SgasSearch:
        return SgasSearch(self, problem)


class SgasSearch(DifferentiableSearch[Sgas]):
    """Edges mix with softmax(alphas) until they are decided.

    After an epoch in which a decision is due, the open edge of the greatest product of scores, each spread
    over 0 ... 1 among the open edges, gets its strongest operator. Scores are importance (the weight of all
    but `none`), certainty (1 minus the normalised entropy of those), and with `stability` the mean histogram
    intersection with the epochs before.
    Differs from the source: edges that are decided do not stretch the scores of the others; all edges are
    kept, so all are decided; the batch does not grow; a decided edge
    still computes all its operators, times 0.
    """

    def __init__(self, config: Sgas, problem: Problem) -> None:
        super().__init__(config, problem)
        self.past = list[Tensor]()

    def due(self, epoch: int) -> int:
        """Edges to be decided when an epoch, counted from 0, has ended."""
        edges, epochs = len(self.alive), self.config.epochs
        first, last = int(self.config.before * epochs), epochs - 1 - int(self.config.after * epochs)
        if epoch < first or epoch >= last:
            return edges if epoch >= last else 0
        return 1 + (epoch - first) * (edges - 1) // (last - first)

    def finish_epoch(self, epoch: int) -> None:
        weights = self.relaxed().detach()
        candidates = [column for column, name in enumerate(self.problem.space.primitives) if name != NONE]
        importance = weights[:, candidates].sum(1)
        shares = weights[:, candidates] / importance[:, None]
        open_edges = self.alive.sum(1) > 1
        for _ in range(self.due(epoch) - int((~open_edges).sum())):
            row = int(self.scores(importance, shares, open_edges).argmax())
            self.settle(row, candidates[int(shares[row].argmax())])
            open_edges[row] = False
        self.past = [*self.past, shares][-self.config.history :]
        super().finish_epoch(epoch)

    def scores(self, importance: Tensor, shares: Tensor, open_edges: Tensor) -> Tensor:
        """The criterion of every edge, from the weight of its candidates and their shares in it.

        Args:
            importance: Weight of all candidates (edges).
            shares: Of each candidate in that (edges, candidates).
            open_edges: Which edges are not decided yet; the others neither count nor have a score.
        """
        entropy = torch.special.entr(shares).sum(1) / math.log(max(2, shares.shape[1]))
        scores = [importance, 1 - entropy]
        if self.config.stability and self.past:
            scores.append(torch.stack([torch.minimum(shares, old).sum(1) for old in self.past]).mean(0))
        product = torch.stack([_spread(score[open_edges]) for score in scores]).prod(0)
        return torch.full_like(importance, -torch.inf).masked_scatter(open_edges, product)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"past": list(self.past)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.past = [old.to(self.alive.device) for old in state["past"]]


def _spread(score: Tensor) -> Tensor:
    """Scores moved and scaled to 0 ... 1; ones where all are equal."""
    width = score.max() - score.min()
    return torch.where(width > 0, (score - score.min()) / width, torch.ones_like(score))
