"""The alphas' gradient through one step of the weights.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, eq. 5-8 (arXiv:1806.09055).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from evaluators.processes import mean_over_processes
from searchers.searches.updates import Batch, Updates
from supernet.explicit import explicit_loss

RADIUS = 1e-2
"""Norm of the finite difference's step: the paper's epsilon is this over the norm of the gradient."""


class Unrolled:
    """One virtual step of the weights: w'(g), what their optimizer would make of the gradient g.

    With g = dL_train(w, alpha)/dw and v = dL_held(w'(g), alpha)/dg the gradient of the held loss is

        dL_held(w', alpha)/dalpha + d2L_train(w, alpha)/dalpha dw v

    The product of the second term is exact by a second backward pass through the first gradient, or estimated
    from the alphas' gradients at w + r v and w - r v. Differs from the source, where w' is plain descent: the
    step is the one that SGD takes with its buffers of now. Weights, optimizer and running statistics are left
    as they are. As in the public code, the virtual step does not clip.

    Args:
        updates: The updates, with weights and optimizer as they are before the step.
        training: A batch of the weights' half.
        exact: Whether the product is exact.
    """

    def __init__(self, updates: Updates, training: Batch, *, exact: bool) -> None:
        self.updates, self.training, self.exact = updates, training, exact
        self.supernet, self.architecture = updates.mixture.supernet, updates.mixture.architecture
        learn = {id(weight) for weight in updates.parameters}
        self.names = [name for name, weight in self.supernet.named_parameters() if id(weight) in learn]
        weights = updates.parameters
        loss, _ = self._at(weights, training)
        self.slopes = torch.autograd.grad(loss, weights, create_graph=exact, materialize_grads=True)
        averaged = mean_over_processes([slope.detach() for slope in self.slopes], updates.fabric)
        self.averaged = [slope.detach().requires_grad_() for slope in averaged]
        optimizer = updates.weight_optimizer
        assert isinstance(optimizer, torch.optim.SGD), "others are refused by `Darts`"
        self.stepped = [step_of_sgd(optimizer, *pair) for pair in zip(weights, self.averaged)]

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and accuracy after the virtual step, on images of the alphas' half."""
        return self._at(self.stepped, batch)

    def gradients(self, loss: Tensor) -> tuple[Tensor, ...]:
        """Gradients of what the alphas' optimizer moves.

        Args:
            loss: After the virtual step, with what is added to it.
        """
        direct = self.updates.gradients(loss, [*self.architecture, *self.averaged])
        count = len(self.architecture)
        product = self._exact(direct[count:]) if self.exact else self._difference(direct[count:])
        product = mean_over_processes(product, self.updates.fabric)
        return tuple(first + second for first, second in zip(direct, product))

    def _at(self, weights: Sequence[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        with self.updates.fabric.autocast():
            mixing, named = self.updates.mixture.draw(), dict(zip(self.names, weights))
            return explicit_loss(self.supernet, self.updates.problem.loss, batch, mixing, named)

    def _exact(self, vector: Sequence[Tensor]) -> Sequence[Tensor]:
        # Weights that the loss does not depend on have slopes without a graph.
        pairs = [(slope, v) for slope, v in zip(self.slopes, vector) if slope.requires_grad]
        slopes, vector = zip(*pairs)
        return torch.autograd.grad(slopes, self.architecture, grad_outputs=vector, materialize_grads=True)

    def _difference(self, vector: Sequence[Tensor]) -> Sequence[Tensor]:
        length = torch.stack([v.square().sum() for v in vector]).sum().sqrt()
        radius = RADIUS / length.clamp(min=torch.finfo(length.dtype).tiny)  # no way to go: no difference
        sides = list[tuple[Tensor, ...]]()
        for sign in (1, -1):
            with torch.no_grad():
                weights = [p + sign * radius * v for p, v in zip(self.updates.parameters, vector)]
            loss, _ = self._at(weights, self.training)
            sides.append(torch.autograd.grad(loss, self.architecture, materialize_grads=True))
        return [(plus - minus) / (2 * radius) for plus, minus in zip(*sides)]


class SecondOrder(Updates):
    """Updates whose alphas follow the exact gradient through the step of the weights that comes next."""

    exact: ClassVar[bool] = True

    def step(self, held: Batch, training: Batch, *, resting: bool) -> tuple[Tensor, ...]:
        self.training = training
        return super().step(held, training, resting=resting)

    def update_alphas(self, *batch: Any) -> tuple[Tensor, Tensor]:
        unrolled = Unrolled(self, self.training, exact=self.exact)
        loss, correct = unrolled.loss(batch)
        self.move_alphas(unrolled.gradients(self.with_terms(loss)))
        return loss, correct


class FiniteDifference(SecondOrder):
    """Updates whose alphas follow an estimate of that gradient."""

    exact = False


def step_of_sgd(optimizer: torch.optim.SGD, weight: Tensor, gradient: Tensor) -> Tensor:
    """Where the next step of SGD takes a weight, as a function of its gradient; nothing is changed.

    Args:
        optimizer: The optimizer with its present settings and buffers; it does not maximize.
        weight: A parameter of the optimizer.
        gradient: Gradient of the loss by that parameter; the result is differentiable by it.
    """
    (group,) = optimizer.param_groups
    at = weight.detach()
    change = gradient + group["weight_decay"] * at
    buffer = optimizer.state[weight].get("momentum_buffer")
    # The first step fills the buffer, whatever the dampening.
    buffer = change if buffer is None else group["momentum"] * buffer + (1 - group["dampening"]) * change
    if group["nesterov"]:
        change = change + group["momentum"] * buffer
    elif group["momentum"]:
        change = buffer
    return at - group["lr"] * change
