"""The last phase of a search that derives by perturbation; searchers/perturbation.py has its source."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from evaluators.data import Batches
from evaluators.tasks.classification.loss import cross_entropy
from foundation.seeds import seed_of
from search_space.space import NONE
from searchers.searches.problem import Problem
from supernet.explicit import explicit_logits
from supernet.supernet import Supernet

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Decided(Protocol):
    """A search whose edges are decided one by one; see `DifferentiableSearch`."""

    problem: Problem
    config: Any
    fabric: Fabric
    supernet: Supernet
    alive: Tensor
    alpha_batches: Batches
    steps_per_epoch: int

    def expected(self) -> Tensor: ...
    def averaged(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]: ...


def order_of_edges(seed: int, num_edges: int) -> list[int]:
    """The rows of the alphas, in the order in which they are decided."""
    rows = list(range(num_edges))
    random.Random(seed_of(seed, "perturbation")).shuffle(rows)
    return rows


def most_missed(search: Decided, row: int, epoch: int) -> int:
    """The primitive of an edge whose removal raises the loss most; the first of equals.

    Args:
        search: Its weights and statistics are left as they are.
        row: The edge.
        epoch: Whose batches are judged on.
    """
    candidates = [
        column
        for column, name in enumerate(search.problem.space.primitives)
        if name != NONE and search.alive[row, column]
    ]
    losses = losses_without(search, row, candidates, epoch)
    return candidates[losses.index(max(losses))]


@torch.no_grad()
def losses_without(search: Decided, row: int, columns: Sequence[int], epoch: int) -> list[float]:
    """Mean loss on the second half, with one primitive of an edge left out and the rest in its place."""
    search.supernet.train()
    mixing = search.expected()
    num_batches = min(search.config.perturbation.batches or search.steps_per_epoch, search.steps_per_epoch)
    sums = torch.zeros(len(columns), dtype=mixing.dtype, device=mixing.device)
    for index in range(num_batches):
        images, labels = search.alpha_batches.batch(epoch, index)
        for place, column in enumerate(columns):
            without = mixing.clone()
            without[row, column] = 0.0
            without[row] *= mixing[row].sum() / without[row].sum().clamp(min=torch.finfo(mixing.dtype).tiny)
            # The same draws for all, where an operator draws.
            torch.manual_seed(seed_of(search.problem.seed, "without", epoch, index))
            with search.fabric.autocast():
                logits = explicit_logits(search.supernet, images, without)
            sums[place] += cross_entropy(logits, labels)
    (sums,) = search.averaged([sums])
    return (sums / num_batches).tolist()
