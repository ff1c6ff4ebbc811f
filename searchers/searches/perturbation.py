"""The last phase of a search that derives by perturbation; searchers/perturbation.py has its source."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from evaluators.processes import mean_over_processes
from foundation.seeds import seed_of
from search_space.space import NONE
from searchers.searches.callback import Callback, Running
from supernet.explicit import explicit_loss


class Perturbed(Callback):
    """Decides edges after the last epoch of search, then after every interval of tuning."""

    def end_epoch(self, search: Running, epoch: int) -> None:
        if search.schedule.searching(epoch + 1):
            return
        interval, alive = search.config.perturbation.epochs, search.mixture.alive
        order = order_of_edges(search.problem.seed, len(alive))
        due = 1 + (epoch + 1 - search.schedule.search_epochs) // interval if interval else len(order)
        for row in order[:due]:
            if alive[row].sum() > 1:
                search.mixture.settle(row, most_missed(search, row, epoch))


def order_of_edges(seed: int, num_edges: int) -> list[int]:
    """The rows of the alphas, in the order in which they are decided."""
    rows = list(range(num_edges))
    random.Random(seed_of(seed, "perturbation")).shuffle(rows)
    return rows


def most_missed(search: Running, row: int, epoch: int) -> int:
    """The primitive of an edge whose removal raises the loss most; the first of equals.

    Args:
        search: Its weights and statistics are left as they are.
        row: The edge.
        epoch: Whose batches are judged on.
    """
    candidates = competing(search, row)
    worth = worths(search, row, candidates, epoch)
    return candidates[worth.index(max(worth))]


def competing(search: Running, row: int) -> list[int]:
    """The columns that can be derived in a row and have not left it."""
    columns = search.problem.space.candidate_columns
    return [column for column in columns if search.mixture.alive[row, column]]


def worths(
    search: Running, row: int, columns: Sequence[int], epoch: int, batches: int | None = None
) -> list[float]:
    """What the loss misses primitives of a row, less what limits have them cost there.

    That is independent of their shares: what is not bounded makes up for a small one by its weights.

    Args:
        search: Its weights and statistics are left as they are.
        row: The edge or site.
        columns: The primitives.
        epoch: Whose batches are judged on.
        batches: How many of them; those of the settings if left out.
    """
    losses = losses_without(search, row, columns, epoch, batches)
    return [loss - price(search, row, column) for loss, column in zip(losses, columns)]


def price(search: Running, row: int, column: int) -> float:
    """What a primitive has to gain at a site to pay for itself; 0 in a cell."""
    space = search.problem.space
    if NONE not in space.candidates:
        return 0.0
    names = [NONE] * len(space.rows)
    names[row] = space.primitives[column]
    return search.problem.price(space.genotype(names))


@torch.no_grad()
def losses_without(
    search: Running, row: int, columns: Sequence[int], epoch: int, batches: int | None = None
) -> list[float]:
    """Mean loss on the second half, with one primitive left out: nothing in its stead, or else the rest."""
    supernet, fabric = search.mixture.supernet, search.problem.fabric
    space = search.problem.space
    nothing = space.primitives.index(NONE) if NONE in space.candidates else None
    supernet.train()
    mixing = search.mixture.expected()
    num_steps = search.schedule.steps_per_epoch
    if batches is None:
        batches = search.config.perturbation.batches
    num_batches = min(batches or num_steps, num_steps)
    sums = torch.zeros(len(columns), dtype=mixing.dtype, device=mixing.device)
    for index in range(num_batches):
        batch = search.alpha_batches.batch(epoch, index)
        for number, column in enumerate(columns):
            without = mixing.clone()
            without[row, column] = 0.0
            if nothing is not None:
                without[row, nothing] += mixing[row, column]
            without[row] *= mixing[row].sum() / without[row].sum().clamp(min=torch.finfo(mixing.dtype).tiny)
            # The same draws for all, where an operator draws.
            torch.manual_seed(seed_of(search.problem.seed, "without", epoch, index))
            with fabric.autocast():
                loss, _ = explicit_loss(supernet, search.problem.loss, batch, without)
            sums[number] += loss
    (sums,) = mean_over_processes([sums], fabric)
    return (sums / num_batches).tolist()
