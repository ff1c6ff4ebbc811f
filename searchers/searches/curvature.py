"""The largest eigenvalue of a Hessian, from products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
