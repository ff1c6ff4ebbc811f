"""Differentiable search, first order.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019 (arXiv:1806.09055), with the
settings of the public AutoLA search (train_search.py and architect.py, commit 49c1e57).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.job import Figures, check_weights
from evaluators.recipe import cosine
from evaluators.seeds import seed_of
from evaluators.tasks.classification import accuracy, cross_entropy
from search_space.config import config
from search_space.errors import InputError
from search_space.genotype import Genotype
from searchers import SearcherConfig, Shares, searcher
from searchers.problem import Problem


@searcher("darts")
@config
class Darts(SearcherConfig):
    """First-order DARTS: a step of the alphas on one half, then a step of the weights on the other."""

    epochs: int = 50
    """Passes over the halves (train_search.py:32)."""
    batch_size: int = 128
    """Images a step, from each half (train_search.py:25)."""
    learning_rate: float = 0.025
    """Of the weights' SGD at first (train_search.py:26)."""
    min_learning_rate: float = 1e-4
    """At the end of the cosine (train_search.py:27)."""
    momentum: float = 0.9
    """Of the weights' SGD (train_search.py:28)."""
    weight_decay: float = 5e-4
    """Of the weights (train_search.py:29)."""
    clip: float = 5.0
    """Largest norm of the weights' gradient; 0 for no clipping (train_search.py:41)."""
    alpha_learning_rate: float = 3e-3
    """Of the alphas' Adam (train_search.py:44)."""
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    """Of the alphas' Adam (architect.py:18)."""
    alpha_weight_decay: float = 1e-3
    """Of the alphas (train_search.py:45)."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "alpha_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} is not positive")
        for name in ("min_learning_rate", "weight_decay", "clip", "alpha_weight_decay"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")
        for name in ("momentum", "alpha_betas"):
            value = getattr(self, name)
            if not all(0 <= share < 1 for share in (value if isinstance(value, tuple) else (value,))):
                raise InputError(f"{name}={value} is not in 0 ... 1 (1 excluded)")

    def start(self, problem: Problem) -> DartsSearch:
        return DartsSearch(self, problem)


class DartsSearch:
    """A search under way: one step updates the alphas, then the weights.

    Several processes start from the same weights, share each batch and average their gradients; each
    normalises its own share with the statistics of that share.

    Args:
        config: Hyper-parameters.
        problem: What is searched, on what.
    """

    def __init__(self, config: Darts, problem: Problem) -> None:
        self.config, self.problem, self.fabric = config, problem, problem.fabric
        self.weight_batches = problem.batches(0, config.batch_size)
        self.alpha_batches = problem.batches(1, config.batch_size)
        self.supernet = problem.supernet()
        self.parameters = self.supernet.weights()
        self.weight_optimizer = torch.optim.SGD(
            self.parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.alpha_optimizer = torch.optim.Adam(
            [self.supernet.alphas],
            lr=config.alpha_learning_rate,
            betas=config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
        )
        self.step = 0
        self.steps_per_epoch = min(len(self.weight_batches), len(self.alpha_batches))
        self.total_steps = config.epochs * self.steps_per_epoch
        names = ("weight_loss", "weight_accuracy", "alpha_loss", "alpha_accuracy")
        self.figures = Figures(names, self.steps_per_epoch, self.fabric.device)

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        torch.manual_seed(seed_of(self.problem.seed, "step", self.step, self.fabric.global_rank))
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.rate(epoch)
        self.supernet.train()
        alpha_figures = self.update_alphas(*self.alpha_batches.batch(epoch, index))
        weight_figures = self.update_weights(*self.weight_batches.batch(epoch, index))
        self.figures.record(index, *weight_figures, *alpha_figures)
        self.step += 1

    def update_alphas(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The first half of a step, on images of the second half of the data: loss and accuracy."""
        alphas = self.supernet.alphas
        loss, correct = self._loss(images, labels)
        (alphas.grad,) = self._gradients(loss, [alphas])
        self.alpha_optimizer.step()
        return loss, correct

    def update_weights(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The second half of a step, on images of the first half of the data: loss and accuracy."""
        with torch.no_grad():
            mixing = self.supernet.mixing_weights()
        loss, correct = self._loss(images, labels, mixing)
        for parameter, gradient in zip(self.parameters, self._gradients(loss, self.parameters)):
            parameter.grad = gradient
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.weight_optimizer.step()
        return loss, correct

    def _loss(self, images: Tensor, labels: Tensor, mixing: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with self.fabric.autocast():
            logits = self.supernet(images, mixing)
        return cross_entropy(logits, labels), accuracy(logits, labels)

    def _gradients(self, loss: Tensor, parameters: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the mean loss over all processes."""
        gradients = torch.autograd.grad(loss, tuple(parameters))
        if self.fabric.world_size > 1:
            gradients = tuple(
                torch.as_tensor(self.fabric.all_reduce(gradient, reduce_op="mean")) for gradient in gradients
            )
        return gradients

    def rate(self, epoch: int) -> float:
        """Learning rate of the weights in an epoch."""
        return cosine(epoch, self.config.epochs, self.config.learning_rate, self.config.min_learning_rate)

    def check(self) -> None:
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        rate = self.rate(max(0, self.step - 1) // self.steps_per_epoch)
        self.figures.check(done, self.step - done, rate)
        check_weights(self.supernet.parameters(), self.step - 1, rate)

    def report(self) -> dict[str, float]:
        self.figures.gather(self.fabric)
        self.check()
        mixing = self.supernet.mixing_weights().detach().cpu().double()
        entropy = -(mixing * mixing.log()).sum(1).mean().item()
        rate = self.rate((self.step - 1) // self.steps_per_epoch)
        return self.figures.means() | {"alpha_entropy": entropy, "learning_rate": rate}

    def genotype(self) -> Genotype:
        return self.supernet.derive()

    def shares(self) -> Shares:
        space = self.problem.space
        rows = self.supernet.mixing_weights().detach().tolist()
        return {edge: dict(zip(space.primitives, row)) for edge, row in zip(space.edges, rows)}

    def weights(self) -> dict[str, Tensor]:
        return self.supernet.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "supernet": self.supernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "figures": self.figures.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.supernet.load_state_dict(state["supernet"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.figures.load_state_dict(state["figures"])
