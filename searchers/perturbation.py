"""Derivation by perturbation: an operator is worth what its removal costs.

Source: Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021, algorithm 1
(arXiv:2108.04392), and the public code (ruocwang/darts-pt, sota/cnn/projection.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from evaluators.seeds import seed_of
from evaluators.tasks.classification import cross_entropy
from search_space.config import config
from search_space.errors import InputError
from search_space.space import NONE
from supernet.explicit import explicit_logits

if TYPE_CHECKING:
    from searchers.differentiable import DifferentiableSearch


@config
class Perturbation:
    """The last phase of a search with `derive=perturbation`: edges are decided one after the other.

    In an order drawn from the seed, every edge gets the operator whose removal raises the supernet's loss
    most; the search then goes on for some epochs, at a tenth of the learning rate, before the next edge.
    Differs from the source: all edges are kept, so there is no second selection among them; the loss decides
    (the public code also offers the accuracy); what is left of an edge shares the weight of what was removed;
    images are the augmented batches of an epoch.
    """

    epochs: int = 1
    """Epochs of tuning between two decisions (chosen here); 0 decides all edges at once."""
    batches: int = 0
    """Batches of the second half that an operator is judged on; 0 for all of an epoch."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batches"):
            if getattr(self, name) < 0:
                raise InputError(f"perturbation.{name}={getattr(self, name)} is negative")


def order_of_edges(seed: int, num_edges: int) -> list[int]:
    """The rows of the alphas, in the order in which they are decided."""
    rows = list(range(num_edges))
    random.Random(seed_of(seed, "perturbation")).shuffle(rows)
    return rows


def most_missed(search: DifferentiableSearch[Any], row: int, epoch: int) -> int:
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
def losses_without(
    search: DifferentiableSearch[Any], row: int, columns: Sequence[int], epoch: int
) -> list[float]:
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
