"""The alphas' gradient through one step of the weights.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, eq. 5-8 (arXiv:1806.09055).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evaluators.tasks.classification import accuracy, cross_entropy
from searchers.differentiable import DifferentiableSearch
from supernet.explicit import explicit_logits

RADIUS = 1e-2
"""Norm of the finite difference's step: the paper's epsilon is this over the norm of the gradient."""


class Unrolled:
    """One virtual step of SGD: w' = w - rate (momentum b + dL_train(w, alpha)/dw + decay w), b the buffer.

    With v = dL_held(w', alpha)/dw' the gradient of L_held(w'(alpha), alpha) is

        dL_held(w', alpha)/dalpha - rate d2L_train(w, alpha)/dalpha dw v

    The product of the second term is exact by a second backward pass through the first gradient, or estimated
    from the alphas' gradients at w + r v and w - r v. Weights, optimizer and running statistics are left
    as they are. As in the public code, the virtual step does not clip.

    Args:
        search: At the step to be unrolled.
        training: Images and labels of the weights' half.
        exact: Whether the product is exact.
    """

    def __init__(
        self, search: DifferentiableSearch[Any], training: tuple[Tensor, Tensor], *, exact: bool
    ) -> None:
        self.search, self.training, self.exact = search, training, exact
        named = dict(search.supernet.named_parameters())
        self.names = [name for name in named if name != "alphas"]
        self.rate: float = search.weight_optimizer.param_groups[0]["lr"]
        loss, _ = self._at(search.parameters, *training)
        self.slopes = torch.autograd.grad(loss, search.parameters, create_graph=exact, materialize_grads=True)
        slopes = search.averaged([slope.detach() for slope in self.slopes])
        self.stepped = [
            self._step(parameter, slope).requires_grad_()
            for parameter, slope in zip(search.parameters, slopes)
        ]

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy after the virtual step, on images of the alphas' half."""
        return self._at(self.stepped, images, labels)

    def gradients(self, loss: Tensor) -> tuple[Tensor, ...]:
        """Gradients of what the alphas' optimizer moves.

        Args:
            loss: After the virtual step, with the searcher's terms.
        """
        search = self.search
        direct = search.gradients(loss, [*search.architecture, *self.stepped])
        count = len(search.architecture)
        product = self._exact(direct[count:]) if self.exact else self._difference(direct[count:])
        product = search.averaged(product)
        return tuple(first - self.rate * second for first, second in zip(direct, product))

    def _at(self, weights: Sequence[Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        search = self.search
        with search.fabric.autocast():
            logits = explicit_logits(search.supernet, images, search.mix(), dict(zip(self.names, weights)))
        return cross_entropy(logits, labels), accuracy(logits, labels)

    @torch.no_grad()
    def _step(self, parameter: Tensor, slope: Tensor) -> Tensor:
        config = self.search.config
        change = slope + config.weight_decay * parameter
        buffer = self.search.weight_optimizer.state[parameter].get("momentum_buffer")
        moved = change if buffer is None else config.momentum * buffer + change
        if config.nesterov:
            moved = change + config.momentum * moved
        return parameter - self.rate * moved

    def _exact(self, vector: Sequence[Tensor]) -> Sequence[Tensor]:
        # Weights that the loss does not depend on have slopes without a graph.
        pairs = [(slope, v) for slope, v in zip(self.slopes, vector) if slope.requires_grad]
        slopes, vector = zip(*pairs)
        return torch.autograd.grad(
            slopes, self.search.architecture, grad_outputs=vector, materialize_grads=True
        )

    def _difference(self, vector: Sequence[Tensor]) -> Sequence[Tensor]:
        length = torch.stack([v.square().sum() for v in vector]).sum().sqrt()
        radius = RADIUS / length
        sides = list[tuple[Tensor, ...]]()
        for sign in (1, -1):
            with torch.no_grad():
                weights = [p + sign * radius * v for p, v in zip(self.search.parameters, vector)]
            loss, _ = self._at(weights, *self.training)
            sides.append(torch.autograd.grad(loss, self.search.architecture, materialize_grads=True))
        return [(plus - minus) / (2 * radius) for plus, minus in zip(*sides)]
