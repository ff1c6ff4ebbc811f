"""The search of SGAS; its settings and its source are in searchers/sgas.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from searchers.searches.callback import Callback, Running
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from searchers.sgas import Sgas


class Decisions(Callback):
    """After an epoch in which a decision is due, the best open edge gets its strongest operator.

    The best one has the greatest product of scores, each spread over 0 ... 1 among the open edges. Scores are
    importance (the share of all but `none`), certainty (1 minus the normalised entropy of those), and with
    `stability` the mean histogram intersection with the epochs before.
    Differs from the source: edges that are decided do not stretch the scores of the others; all edges are
    kept, so all are decided; the batch does not grow; a decided edge
    still computes all its operators, times 0.

    Args:
        config: When decisions are due, and by which scores.
    """

    def __init__(self, config: Sgas) -> None:
        self.config = config
        self.past = list[Tensor]()

    def due(self, epoch: int, num_edges: int) -> int:
        """Edges to be decided when an epoch, counted from 0, has ended."""
        epochs = self.config.epochs
        first, last = int(self.config.before * epochs), epochs - 1 - int(self.config.after * epochs)
        if epoch < first or epoch >= last:
            return num_edges if epoch >= last else 0
        return 1 + (epoch - first) * (num_edges - 1) // (last - first)

    def end_epoch(self, search: Running, epoch: int) -> None:
        mixture, candidates = search.mixture, search.problem.space.candidate_columns
        weights = mixture.shares().detach()[:, candidates]
        importance = weights.sum(1)
        chances = weights / importance[:, None]
        open_edges = mixture.alive.sum(1) > 1
        for _ in range(self.due(epoch, len(open_edges)) - int((~open_edges).sum())):
            row = int(self.scores(importance, chances, open_edges).argmax())
            mixture.settle(row, candidates[int(chances[row].argmax())])
            open_edges[row] = False
        self.past = [*self.past, chances][-self.config.history :]

    def scores(self, importance: Tensor, chances: Tensor, open_edges: Tensor) -> Tensor:
        """The criterion of every edge.

        Args:
            importance: Share of all candidates of an edge together (edges).
            chances: What each candidate has of that (edges, candidates).
            open_edges: Which edges are not decided yet; the others neither count nor have a score.
        """
        entropy = torch.special.entr(chances).sum(1) / math.log(max(2, chances.shape[1]))
        scores = [importance, 1 - entropy]
        if self.config.stability and self.past:
            common = [torch.minimum(chances, old.to(chances.device)).sum(1) for old in self.past]
            scores.append(torch.stack(common).mean(0))
        product = torch.stack([_spread(score[open_edges]) for score in scores]).prod(0)
        return torch.full_like(importance, -torch.inf).masked_scatter(open_edges, product)

    def state_dict(self) -> dict[str, Any]:
        return {"past": list(self.past)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.past = list(state["past"])


def _spread(score: Tensor) -> Tensor:
    """Scores moved and scaled to 0 ... 1; ones where all are equal."""
    width = score.max() - score.min()
    return torch.where(width > 0, (score - score.min()) / width, torch.ones_like(score))


def start(config: Sgas, problem: Problem) -> DifferentiableSearch:
    """Edges mix with softmax(alphas) until they are decided, one after the other."""
    return DifferentiableSearch(config, problem, Mixture(problem.supernet()), [Decisions(config)])
