"""The last phase of a search that derives by perturbation; searchers/perturbation.py has its source."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from evaluators.processes import mean_over_processes
from foundation.seeds import seed_of
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
    columns = search.problem.space.candidate_columns
    candidates = [column for column in columns if search.mixture.alive[row, column]]
    losses = losses_without(search, row, candidates, epoch)
    return candidates[losses.index(max(losses))]


@torch.no_grad()
def losses_without(search: Running, row: int, columns: Sequence[int], epoch: int) -> list[float]:
    """Mean loss on the second half, with one primitive of an edge left out and the rest in its stead."""
    supernet, fabric = search.mixture.supernet, search.problem.fabric
    supernet.train()
    mixing = search.mixture.expected()
    num_steps = search.schedule.steps_per_epoch
    num_batches = min(search.config.perturbation.batches or num_steps, num_steps)
    sums = torch.zeros(len(columns), dtype=mixing.dtype, device=mixing.device)
    for index in range(num_batches):
        batch = search.alpha_batches.batch(epoch, index)
        for number, column in enumerate(columns):
            without = mixing.clone()
            without[row, column] = 0.0
            without[row] *= mixing[row].sum() / without[row].sum().clamp(min=torch.finfo(mixing.dtype).tiny)
            # The same draws for all, where an operator draws.
            torch.manual_seed(seed_of(search.problem.seed, "without", epoch, index))
            with fabric.autocast():
                loss, _ = explicit_loss(supernet, search.problem.loss, batch, without)
            sums[number] += loss
    (sums,) = mean_over_processes([sums], fabric)
    return (sums / num_batches).tolist()
