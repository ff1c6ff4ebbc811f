"""The search of SGAS; its settings and its source are in searchers/sgas.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from search_space.space import NONE
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.sgas import Sgas


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
