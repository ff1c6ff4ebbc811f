"""What differentiable searchers share: alphas learn on one half of the data, weights on the other.

A searcher says, where it differs, how alphas become mixing weights (`expected`, `mix`), what they stand for
(`relaxed`, `strengths`), what is added to their loss (`regularizer`), and what is updated (`update_alphas`,
`update_weights`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from evaluators.job import Figures, check_weights
from evaluators.processes import mean_over_processes
from evaluators.recipe import cosine
from evaluators.tasks.classification.loss import accuracy, cross_entropy
from foundation.seeds import seed_of
from search_space.genotype import Genotype
from search_space.space import NONE
from searchers import Shares
from searchers.searches.curvature import hessian_product, largest_eigenvalue
from searchers.searches.perturbation import most_missed, order_of_edges
from searchers.searches.problem import Problem
from searchers.searches.watch import Watch
from searchers.settings import Differentiable
from supernet.derive import RULES
from supernet.explicit import explicit_logits
from supernet.supernet import Supernet

C = TypeVar("C", bound=Differentiable)


class DifferentiableSearch(Generic[C]):
    """A search under way: one step updates the alphas, then the weights.

    Several processes start from the same weights, share each batch and average their gradients; each
    normalises its own share with the statistics of that share.

    Args:
        config: Hyper-parameters.
        problem: What is searched, on what.
    """

    def __init__(self, config: C, problem: Problem) -> None:
        config.check(problem)
        self.config, self.problem, self.fabric = config, problem, problem.fabric
        self.weight_batches = problem.batches(0, config.batch_size)
        self.alpha_batches = problem.batches(1, config.batch_size)
        self.supernet = self.build()
        self.parameters = self.supernet.weights()
        self.architecture = self.build_architecture()
        self.alive = torch.ones_like(self.supernet.alphas, dtype=torch.bool)
        self.all_alive = True
        self.run, rate = problem.runner(), torch.tensor(config.learning_rate, device=self.fabric.device)
        self.weight_optimizer = torch.optim.SGD(
            self.parameters,
            lr=rate if problem.cuda_graph else config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            foreach=not problem.fused,  # a few calls for all weights, bit for bit the same
            fused=problem.fused,
        )
        self.alpha_optimizer = torch.optim.Adam(
            self.architecture,
            lr=config.alpha_learning_rate,
            betas=config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
            fused=problem.fused,
            capturable=problem.fused,
        )
        self.step = 0
        self.steps_per_epoch = min(len(self.weight_batches), len(self.alpha_batches))
        self.watch = Watch(config.guards, problem.space)
        self.plan(config.epochs)
        names = ("weight_loss", "weight_accuracy", "alpha_loss", "alpha_accuracy")
        self.figures = Figures(names, self.steps_per_epoch, self.fabric.device)

    # What searchers change.

    def build(self) -> Supernet:
        """The network that is searched."""
        return self.problem.supernet()

    def build_architecture(self) -> list[Tensor]:
        """What the alphas' optimizer moves: the alphas, then what else stands for the choice."""
        return [self.supernet.alphas]

    def relaxed(self) -> Tensor:
        """What the alphas stand for: of every edge a distribution over the primitives, differentiable."""
        return self.logits().softmax(-1)

    def strengths(self) -> Tensor:
        """What the derivation rule compares, over all edges of a node; primitives that left have 0."""
        weights = self.supernet.mixing_weights()
        return weights if self.all_alive else weights * self.alive

    def expected(self) -> Tensor:
        """The mixing weights without chance, differentiable."""
        return self.relaxed()

    def mix(self) -> Tensor:
        """The mixing weights of a forward pass, differentiable; may be drawn."""
        return self.expected()

    def forward(self, images: Tensor, mixing: Tensor) -> Tensor:
        """Logits of the supernet that mixes with these weights."""
        return self.supernet(images, mixing)

    def regularizer(self) -> Tensor | None:
        """What is added to the loss of the alphas."""
        return None

    def finish_epoch(self, epoch: int) -> None:
        """Called after the last step of every epoch, counted from 0."""
        searching = epoch < self.search_epochs
        eigenvalue = self.eigenvalue() if searching and self.watch.measures(epoch) else None
        self.watch.see(self.strengths(), self.relaxed(), eigenvalue)
        if searching and epoch >= self.resting_epochs and self.watch.stops():
            self.plan(epoch + 1)
        if self.config.derive == "perturbation" and epoch + 1 >= self.search_epochs:
            self.decide(epoch)

    # The search.

    def plan(self, search_epochs: int) -> None:
        """Sets how long the search goes on before the genotype is decided, and its end."""
        self.search_epochs = search_epochs
        self.tuning_epochs = 0
        if self.config.derive == "perturbation":
            self.tuning_epochs = self.config.perturbation.epochs * (len(self.problem.space.edges) - 1)
        self.total_steps = (self.search_epochs + self.tuning_epochs) * self.steps_per_epoch

    def decide(self, epoch: int) -> None:
        """Decides the edges that are due by now, by perturbation."""
        interval = self.config.perturbation.epochs
        order = order_of_edges(self.problem.seed, len(self.alive))
        due = 1 + (epoch + 1 - self.search_epochs) // interval if interval else len(order)
        for row in order[:due]:
            if self.alive[row].sum() > 1:
                self.settle(row, most_missed(self, row, epoch))

    def settle(self, row: int, column: int) -> None:
        """Decides an edge: from now on it has this primitive alone."""
        alive = torch.ones_like(self.alive)
        alive[row] = False
        alive[row, column] = True
        self.keep(alive)

    def eigenvalue(self) -> float | None:
        """The largest one of the Hessian of the loss by the alphas, on a fixed batch of the second half."""
        self.supernet.train()
        images, labels = self.alpha_batches.batch(0, 0)
        with self.fabric.autocast():
            logits = explicit_logits(self.supernet, images, self.expected())
        product = hessian_product(cross_entropy(logits, labels), self.supernet.alphas)
        value = largest_eigenvalue(lambda v: self.averaged([product(v)])[0], self.supernet.alphas)
        return value if math.isfinite(value) else None

    @property
    def stopped(self) -> str | None:
        """Why a guard stopped the search, in a sentence; None where none did."""
        return self.watch.stopped

    @property
    def epoch(self) -> int:
        """Number of the present epoch, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def resting_epochs(self) -> int:
        """Epochs at first in which the alphas rest."""
        return int(self.config.alpha_warmup * self.config.epochs)

    def keep(self, alive: Tensor) -> None:
        """From now on only these primitives (edges, primitives) compete."""
        self.alive &= alive
        derived = [column for column, name in enumerate(self.problem.space.primitives) if name != NONE]
        assert bool(self.alive[:, derived].any(1).all()), "an edge is left without a candidate"
        self.all_alive = bool(self.alive.all())

    def logits(self) -> Tensor:
        """The alphas; minus infinity for primitives that have left an edge."""
        alphas = self.supernet.alphas
        return alphas if self.all_alive else alphas.masked_fill(~self.alive, -torch.inf)

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        torch.manual_seed(seed_of(self.problem.seed, "step", self.step, self.fabric.global_rank))
        set_rate(self.weight_optimizer, self.rate(epoch))
        self.supernet.train()
        batch = self.alpha_batches.batch(epoch, index)
        resting = epoch < self.resting_epochs
        alpha_figures = self.judge(*batch) if resting else self.run("alphas", self.update_alphas, *batch)
        batch = self.weight_batches.batch(epoch, index)
        weight_figures = self.run("weights", self.update_weights, *batch)
        self.figures.record(index, *weight_figures, *alpha_figures)
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self.finish_epoch(epoch)

    @torch.no_grad()
    def judge(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What stands for the update of alphas that rest: loss and accuracy."""
        return self.loss(images, labels, self.mix())

    def update_alphas(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The first half of a step, on images of the second half of the data: loss and accuracy."""
        with self.supernet.frozen_weights():
            loss, correct = self.loss(images, labels, self.mix())
            gradients = self.gradients(self.with_terms(loss), self.architecture)
        self.move_alphas(gradients)
        return loss, correct

    def update_weights(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The second half of a step, on images of the first half of the data: loss and accuracy."""
        with torch.no_grad():
            mixing = self.mix()
        loss, correct = self.loss(images, labels, mixing)
        self.move_weights(self.gradients(loss, self.parameters))
        return loss, correct

    def loss(self, images: Tensor, labels: Tensor, mixing: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy and accuracy on a batch."""
        with self.fabric.autocast():
            logits = self.forward(images, mixing)
        return cross_entropy(logits, labels), accuracy(logits, labels)

    def with_terms(self, loss: Tensor) -> Tensor:
        """A loss with the searcher's own term, and the problem's on what the alphas stand for."""
        penalty = self.problem.penalty
        own = self.regularizer()
        given = None if penalty is None else penalty(self.relaxed())
        return sum((term for term in (own, given) if term is not None), loss)

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the mean loss over all processes; zeros for what a pass did not use."""
        return self.averaged(torch.autograd.grad(loss, parameters, materialize_grads=True))

    def averaged(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Means over all processes."""
        return mean_over_processes(values, self.fabric)

    def move_alphas(self, gradients: Sequence[Tensor]) -> None:
        """A step of the alphas; an edge on which one primitive is left keeps its alphas."""
        alphas, before = self.supernet.alphas, self.supernet.alphas.detach().clone()
        for parameter, gradient in zip(self.architecture, gradients):
            parameter.grad = gradient
        self.alpha_optimizer.step()
        if not self.all_alive:
            decided = self.alive.sum(1, keepdim=True) == 1
            with torch.no_grad():
                alphas.copy_(torch.where(decided, before, alphas))

    def move_weights(self, gradients: Sequence[Tensor]) -> None:
        """A step of the weights, with clipped gradients."""
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip, foreach=True)
        self.weight_optimizer.step()

    def rate(self, epoch: int) -> float:
        """Learning rate of the weights in an epoch."""
        highest, lowest = self.config.learning_rate, self.config.min_learning_rate
        if epoch >= self.search_epochs:
            return cosine(epoch - self.search_epochs, max(1, self.tuning_epochs), highest / 10, lowest)
        return cosine(epoch, self.config.epochs, highest, lowest)

    # What every search gives.

    def check(self) -> None:
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        rate = self.rate(max(0, self.step - 1) // self.steps_per_epoch)
        self.figures.check(done, self.step - done, rate)
        check_weights([*self.supernet.parameters(), *self.architecture], self.step - 1, rate)

    def report(self) -> dict[str, float]:
        self.figures.gather(self.fabric)
        self.check()
        shares = self.relaxed().detach().cpu().double()
        smallest = torch.finfo(shares.dtype).tiny
        entropy = max(0.0, -(shares * shares.clamp(min=smallest).log()).sum(1).mean().item())
        rate = self.rate((self.step - 1) // self.steps_per_epoch)
        return self.figures.means() | {"alpha_entropy": entropy, "learning_rate": rate} | self.watch.figures()

    def genotype(self) -> Genotype:
        answer, derive = self.watch.answer, self.config.derive
        if answer is None or derive == "perturbation":  # which decides with the operators of now
            strengths = self.strengths()
        else:
            strengths = self.watch.strengths[answer]
        rule = RULES["argmax" if derive == "perturbation" else derive]
        rows = strengths.detach().tolist()
        return self.problem.kept(rule(self.problem.space, rows), rows)

    def shares(self) -> Shares:
        space, answer = self.problem.space, self.watch.answer
        decided = self.config.derive == "perturbation"
        rows = self.relaxed().detach().tolist()
        if answer is not None and not decided:
            rows = self.watch.shares[answer].tolist()
        return {edge: dict(zip(space.primitives, row)) for edge, row in zip(space.edges, rows)}

    def weights(self) -> dict[str, Tensor]:
        return self.supernet.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "supernet": self.supernet.state_dict(),
            "architecture": [parameter.detach() for parameter in self.architecture[1:]],
            "alive": self.alive,
            "search_epochs": self.search_epochs,
            "watch": self.watch.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "figures": self.figures.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.supernet.load_state_dict(state["supernet"])
        with torch.no_grad():
            for parameter, value in zip(self.architecture[1:], state["architecture"], strict=True):
                parameter.copy_(value)
        self.alive.fill_(True)
        self.keep(state["alive"].to(self.alive.device))
        self.plan(state["search_epochs"])
        self.watch.load_state_dict(state["watch"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.figures.load_state_dict(state["figures"])


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate; in place where it is a tensor, which a recorded step reads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
