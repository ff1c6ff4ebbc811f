"""What differentiable searchers share: alphas learn on one half of the data, weights on the other.

A searcher says how alphas become mixing weights (`mix`), what they stand for (`relaxed`, `strengths`), and,
where it differs, what is added to the loss (`regularizer`) or updated (`update_alphas`, `update_weights`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from evaluators.job import Figures, check_weights
from evaluators.recipe import cosine
from evaluators.seeds import seed_of
from evaluators.tasks.classification import accuracy, cross_entropy
from search_space.config import config
from search_space.errors import InputError
from search_space.genotype import Genotype
from searchers import SearcherConfig, Shares
from searchers.problem import Problem
from supernet.derive import RULES, Rule
from supernet.supernet import Supernet


@config
class Differentiable(SearcherConfig):
    """What every differentiable searcher is told; values are the public AutoLA search's unless said."""

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
    alpha_warmup: float = 0.0
    """Share of the epochs, at first, in which the alphas rest."""
    derive: Rule = "argmax"
    """How alphas become a genotype: the strongest operator of every edge (the public rule), or of the two
    strongest edges of every node."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "alpha_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} is not positive")
        for name in ("min_learning_rate", "weight_decay", "clip", "alpha_weight_decay"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")
        for name in ("momentum", "alpha_betas", "alpha_warmup"):
            value = getattr(self, name)
            if not all(0 <= share < 1 for share in (value if isinstance(value, tuple) else (value,))):
                raise InputError(f"{name}={value} is not in 0 ... 1 (1 excluded)")


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
        self.config, self.problem, self.fabric = config, problem, problem.fabric
        self.weight_batches = problem.batches(0, config.batch_size)
        self.alpha_batches = problem.batches(1, config.batch_size)
        self.supernet = self.build()
        self.parameters = self.supernet.weights()
        self.architecture = self.build_architecture()
        self.alive = torch.ones_like(self.supernet.alphas, dtype=torch.bool)
        self.all_alive = True
        self.weight_optimizer = torch.optim.SGD(
            self.parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.alpha_optimizer = torch.optim.Adam(
            self.architecture,
            lr=config.alpha_learning_rate,
            betas=config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
        )
        self.step = 0
        self.steps_per_epoch = min(len(self.weight_batches), len(self.alpha_batches))
        self.total_steps = config.epochs * self.steps_per_epoch
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
        """What the derivation rule compares, over all edges of a node; dead primitives have 0."""
        weights = self.supernet.mixing_weights()
        return weights if self.all_alive else weights * self.alive

    def mix(self) -> Tensor:
        """The mixing weights of a forward pass, differentiable; may be drawn."""
        return self.relaxed()

    def forward(self, images: Tensor, mixing: Tensor) -> Tensor:
        """Logits of the supernet that mixes with these weights."""
        return self.supernet(images, mixing)

    def regularizer(self) -> Tensor | None:
        """What is added to the loss of the alphas."""
        return None

    def finish_epoch(self, epoch: int) -> None:
        """Called after the last step of every epoch, counted from 0."""

    # The search.

    @property
    def epoch(self) -> int:
        """Number of the present epoch, from 0."""
        return self.step // self.steps_per_epoch

    def keep(self, alive: Tensor) -> None:
        """From now on only these primitives (edges, primitives) compete."""
        self.alive &= alive
        self.all_alive = bool(self.alive.all())

    def logits(self) -> Tensor:
        """The alphas; minus infinity for primitives that have left an edge."""
        alphas = self.supernet.alphas
        return alphas if self.all_alive else alphas.masked_fill(~self.alive, -torch.inf)

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        torch.manual_seed(seed_of(self.problem.seed, "step", self.step, self.fabric.global_rank))
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.rate(epoch)
        self.supernet.train()
        batch = self.alpha_batches.batch(epoch, index)
        resting = epoch < int(self.config.alpha_warmup * self.config.epochs)
        alpha_figures = self.judge(*batch) if resting else self.update_alphas(*batch)
        weight_figures = self.update_weights(*self.weight_batches.batch(epoch, index))
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
        loss, correct = self.loss(images, labels, self.mix())
        self.move_alphas(self.gradients(self.with_terms(loss), self.architecture))
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
        if self.fabric.world_size > 1:
            values = [torch.as_tensor(self.fabric.all_reduce(value, reduce_op="mean")) for value in values]
        return tuple(values)

    def move_alphas(self, gradients: Sequence[Tensor]) -> None:
        """A step of the alphas; an edge on which one primitive is left keeps its alphas."""
        alphas, before = self.supernet.alphas, self.supernet.alphas.detach().clone()
        for parameter, gradient in zip(self.architecture, gradients):
            parameter.grad = gradient
        self.alpha_optimizer.step()
        if not self.all_alive:
            decided = self.alive.sum(1) == 1
            with torch.no_grad():
                alphas[decided] = before[decided]

    def move_weights(self, gradients: Sequence[Tensor]) -> None:
        """A step of the weights, with clipped gradients."""
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.weight_optimizer.step()

    def rate(self, epoch: int) -> float:
        """Learning rate of the weights in an epoch."""
        return cosine(epoch, self.config.epochs, self.config.learning_rate, self.config.min_learning_rate)

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
        entropy = -(shares * shares.clamp(min=smallest).log()).sum(1).mean().item()
        rate = self.rate((self.step - 1) // self.steps_per_epoch)
        return self.figures.means() | {"alpha_entropy": entropy, "learning_rate": rate}

    def genotype(self) -> Genotype:
        strengths = self.strengths().detach().tolist()
        return self.problem.kept(RULES[self.config.derive](self.problem.space, strengths), strengths)

    def shares(self) -> Shares:
        space = self.problem.space
        rows = self.relaxed().detach().tolist()
        return {edge: dict(zip(space.primitives, row)) for edge, row in zip(space.edges, rows)}

    def weights(self) -> dict[str, Tensor]:
        return self.supernet.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "supernet": self.supernet.state_dict(),
            "architecture": [parameter.detach() for parameter in self.architecture[1:]],
            "alive": self.alive,
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
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.figures.load_state_dict(state["figures"])
