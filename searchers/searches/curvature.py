"""How sharply the loss bends by the alphas: the largest eigenvalue of its Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from evaluators.processes import mean_over_processes
from searchers.searches.callback import Callback, Running
from searchers.searches.watch import Watch
from supernet.explicit import explicit_loss

NUM_STEPS = 20
"""Products at most: the largest of some hundred eigenvalues stands in three or more figures by then."""


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], like: Tensor, num_steps: int = NUM_STEPS
) -> float:
    """The largest eigenvalue of a symmetric operator, by Lanczos iteration from a fixed start.

    Basis vectors are orthogonalised against all before them, so that with as many steps as dimensions the
    value is exact. It is NaN where a product is not finite.

    Args:
        product: The operator, on tensors of the shape of `like`.
        like: Decides shape, type and device.
        num_steps: Products at most.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(like.numel(), generator=generator, dtype=torch.float64)
    basis = [vector / vector.norm()]
    diagonal, beside = list[Tensor](), list[Tensor]()
    for _ in range(min(num_steps, like.numel())):
        moved = product(basis[-1].to(like).view_as(like)).detach().cpu().double().flatten()
        if not bool(moved.isfinite().all()):
            return float("nan")
        diagonal.append(moved @ basis[-1])
        size = moved.norm()
        for _ in range(2):  # once leaves rounding errors that grow
            for earlier in basis:
                moved = moved - (moved @ earlier) * earlier
        beside.append(moved.norm())
        if beside[-1] <= 1e-10 * size:
            break
        basis.append(moved / beside[-1])
    count = len(diagonal)
    matrix = torch.diag(torch.stack(diagonal))
    if count > 1:
        off = torch.stack(beside[: count - 1])
        matrix = matrix + torch.diag(off, 1) + torch.diag(off, -1)
    return torch.linalg.eigvalsh(matrix)[-1].item()


def hessian_product(loss: Tensor, parameter: Tensor) -> Callable[[Tensor], Tensor]:
    """Products of a loss's second derivatives by a parameter with vectors."""
    (slope,) = torch.autograd.grad(loss, [parameter], create_graph=True)

    def product(vector: Tensor) -> Tensor:
        (moved,) = torch.autograd.grad(slope, [parameter], grad_outputs=[vector], retain_graph=True)
        return moved

    return product


def alpha_eigenvalue(search: Running) -> float | None:
    """The eigenvalue for the alphas, on a fixed batch of the half that they learn on.

    The supernet is left as it is; None where the value is not finite.
    """
    supernet, fabric = search.mixture.supernet, search.problem.fabric
    supernet.train()
    batch = search.alpha_batches.batch(0, 0)
    with fabric.autocast():
        loss, _ = explicit_loss(supernet, search.problem.loss, batch, search.mixture.expected())
    product = hessian_product(loss, supernet.alphas)
    value = largest_eigenvalue(lambda v: mean_over_processes([product(v)], fabric)[0], supernet.alphas)
    return value if math.isfinite(value) else None


class Curvature(Callback):
    """Measures the eigenvalue after the epochs in which that is due, for a watch that judges it.

    Args:
        watch: Keeps the values; its config says when they are due.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def end_epoch(self, search: Running, epoch: int) -> None:
        every = self.watch.config.curvature_every
        if every and (epoch + 1) % every == 0 and search.schedule.searching(epoch):
            value = alpha_eigenvalue(search)
            if value is not None:
                self.watch.eigenvalues[epoch] = value
