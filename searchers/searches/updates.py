"""The two halves of a step: alphas learn on one half of the data, then weights on the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.processes import mean_over_processes
from foundation.errors import InputError
from searchers import ADAM_BETAS
from searchers.searches.callback import Callback
from searchers.searches.mixture import Mixture
from searchers.searches.passes import Passes
from searchers.searches.problem import Problem
from searchers.settings import Differentiable
from supernet.kept import kept_by_site
from supernet.mixed_network import MixedNetwork

log = logging.getLogger(__name__)

Batch = tuple[Any, ...]
"""What the loss of the problem takes besides the network: images and labels."""


class Updates:
    """Updates of first order: the alphas follow their gradient at the present weights.

    Several processes start from the same weights, each has its part of every batch, and gradients are
    averaged.

    Attributes:
        moves_weights: Whether a step moves the weights, too; not where somebody else's optimizer does.
        looks: Whether the next loss of resting alphas is computed with gradients, as the first one is, so
            that one without any is told at once.

    Args:
        config: Hyper-parameters.
        problem: What is searched, on what.
        mixture: Alphas and mixing weights.
        callbacks: May add terms to the loss of the alphas.
    """

    def __init__(
        self, config: Differentiable, problem: Problem, mixture: Mixture, callbacks: Sequence[Callback]
    ) -> None:
        self.problem, self.moves_weights, self.looks = problem, True, True
        self.kept: Mapping[str, int] = {}
        self.fabric, self.mixture, self.callbacks, self.clip = problem.fabric, mixture, callbacks, config.clip
        self.parameters = mixture.supernet.weights()
        if not self.parameters:
            raise InputError(
                "nothing of the network learns, and the candidates have no weights: let some of it learn, or "
                "add a candidate that has weights, as se"
            )
        self.run, rate = problem.runner(), torch.tensor(config.learning_rate, device=self.fabric.device)
        optimizer, own = torch.optim.SGD, {"momentum": config.momentum, "nesterov": config.nesterov}
        if config.optimizer == "adam":
            optimizer, own = torch.optim.Adam, {"betas": ADAM_BETAS, "capturable": problem.fused}
        self.weight_optimizer = optimizer(
            self.parameters,
            lr=rate if problem.cuda_graph else config.learning_rate,
            weight_decay=config.weight_decay,
            foreach=not problem.fused,  # a few calls for all weights, bit for bit the same
            fused=problem.fused,
            **own,
        )
        self.alpha_optimizer = torch.optim.Adam(
            mixture.architecture,
            lr=config.alpha_learning_rate,
            betas=config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
            fused=problem.fused,
            capturable=problem.fused,
        )

    def step(self, held: Batch, training: Batch, *, resting: bool) -> tuple[Tensor, ...]:
        """One step: loss and accuracy of the weights' half, then of the alphas' half.

        Args:
            held: A batch of the half that the alphas learn on.
            training: A batch of the half that the weights learn on.
            resting: Whether the alphas stay as they are.
        """
        of_alphas = self.judge(*held) if resting else self.run("alphas", self.update_alphas, *held)
        if not self.moves_weights:
            return *of_alphas, *of_alphas
        return *self.run("weights", self.update_weights, *training), *of_alphas

    @torch.no_grad()
    def judge(self, *batch: Any) -> tuple[Tensor, Tensor]:
        """Loss and accuracy, for alphas that rest."""
        mixing, supernet = self.mixture.draw(), self.mixture.supernet
        if not self.looks:
            return self.loss(batch, mixing)
        self.looks = False
        mixed = isinstance(supernet, MixedNetwork)
        with torch.enable_grad(), kept_by_site(supernet) if mixed else nullcontext({}) as self.kept:
            loss, correct = self.loss(batch, mixing)
        if self.kept:
            parts = ", ".join(f"{name} {size / 1e6:.3g}" for name, size in self.kept.items())
            whole = sum(self.kept.values()) / 1e6
            log.info("the candidates keep %.3g MB of a batch for the backward pass: %s", whole, parts)
        return loss.detach(), correct

    def update_alphas(self, *batch: Any) -> tuple[Tensor, Tensor]:
        """Moves the alphas; loss and accuracy before that."""
        with self.mixture.supernet.frozen_weights():
            loss, correct = self.loss(batch, self.mixture.draw())
            gradients = self.gradients(self.with_terms(loss), self.mixture.architecture)
        self.move_alphas(gradients)
        return loss, correct

    def update_weights(self, *batch: Any) -> tuple[Tensor, Tensor]:
        """Moves the weights; loss and accuracy before that."""
        with torch.no_grad():
            mixing = self.mixture.draw()
        loss, correct = self.loss(batch, mixing)
        self.move_weights(self.gradients(loss, self.parameters))
        return loss, correct

    def loss(self, batch: Batch, mixing: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of the supernet that mixes with these weights, and a figure."""
        supernet = self.mixture.supernet
        passes = Passes(supernet)
        with self.fabric.autocast(), supernet.mixed_by(mixing, self.mixture.chosen(mixing)):
            loss, figure = self.problem.loss(supernet, *batch)
            return passes.check(loss), figure

    def with_terms(self, loss: Tensor) -> Tensor:
        """A loss of the alphas with what the mixture and the callbacks add to it."""
        terms = [self.mixture.regularizer(), *(callback.term(self.mixture) for callback in self.callbacks)]
        return sum((term for term in terms if term is not None), loss)

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the mean loss over all processes; zeros for what a pass did not use.

        In a frozen network a pass that chose nothing at every site uses no parameter at all.
        """
        slopes: Sequence[Tensor] = [torch.zeros_like(parameter) for parameter in parameters]
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return mean_over_processes(slopes, self.fabric)

    def move_alphas(self, gradients: Sequence[Tensor]) -> None:
        """A step of the alphas' optimizer; an edge on which one primitive is left keeps its alphas."""
        alphas = self.mixture.supernet.alphas
        before = alphas.detach().clone()
        for parameter, gradient in zip(self.mixture.architecture, gradients):
            parameter.grad = gradient
        self.alpha_optimizer.step()
        if not self.mixture.all_alive:
            decided = self.mixture.alive.sum(1, keepdim=True) == 1
            with torch.no_grad():
                alphas.copy_(torch.where(decided, before, alphas))

    def move_weights(self, gradients: Sequence[Tensor]) -> None:
        """A step of the weights' optimizer, with clipped gradients."""
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.weight_optimizer.step()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate; in place where it is a tensor, which a recorded step reads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
