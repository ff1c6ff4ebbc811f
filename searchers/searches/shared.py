"""Candidates judged with shared weights: a supernet is trained one random path at a time.

Sources: Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019
(arXiv:1902.07638), section 4; Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform
Sampling", ECCV 2020 (arXiv:1904.00420), whose fresh statistics of the batch norms for every candidate are
taken too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evaluators.data import Batches
from evaluators.recipe import TrainConfig
from evaluators.train import Training, share_buffers
from foundation.seeds import seed_of
from search_space.space import NONE
from searchers.candidates import History, Trial, best_of, restored, scores, stored
from searchers.searches.problem import Problem
from supernet.explicit import SearchedNetwork
from supernet.supernet import one_hot

STATISTICS_BATCHES = 10
"""Training batches that a candidate's statistics are taken from."""


class SharedSearch:
    """A search under way: steps that train the supernet, then steps that judge a candidate each.

    An epoch of judging has as many steps as one of training; what the last one has too many does nothing.

    Args:
        recipe: How the supernet is trained.
        num_trials: Candidates.
        propose: What is tried next, given what was tried.
        problem: What is searched, on what.
    """

    def __init__(
        self, recipe: TrainConfig, num_trials: int, propose: Callable[[History], Any], problem: Problem
    ) -> None:
        self.num_trials, self.propose, self.problem = num_trials, propose, problem
        self.judging_batches = problem.batches(1, recipe.batch_size, training=False)
        self.task = PathTask(problem, recipe.batch_size, recipe.epochs)
        self.training = Training(self.task, recipe, problem.fabric, seed_of(problem.seed, "shared"))
        self.step = 0
        self.steps_per_epoch = self.training.steps_per_epoch
        judging_epochs = math.ceil(num_trials / self.steps_per_epoch)
        self.total_steps = self.training.total_steps + judging_epochs * self.steps_per_epoch
        self.history: list[Trial] = []

    def advance(self) -> None:
        if self.training.step < self.training.total_steps:
            self.training.advance()
        elif len(self.history) < self.num_trials:
            genotype = self.propose(self.history)
            self.history.append(Trial(genotype=genotype, score=self._value(genotype)))
        self.step += 1

    def judge(self, genotype: Any) -> float:
        """Accuracy on the second half of a candidate with the weights of the supernet."""
        return judge(self.task.supernet, genotype, self.problem, self.task.train, self.judging_batches)

    def check(self) -> None:
        self.training.check()

    def report(self) -> dict[str, float]:
        known = scores(self.history)
        if not known:
            return self.training.report()
        self.check()
        score = self.problem.score
        return {f"trial_{score}": known[-1], f"best_{score}": max(known)}

    def genotype(self) -> Any:
        return best_of(self.history) or self.propose([])

    def _value(self, genotype: Any) -> float:
        return self.judge(genotype) - self.problem.price(genotype)

    def ranked(self) -> Iterator[Any]:
        """The best, the best without what is not missed in it, then what was judged by falling score."""
        judged = [trial for trial in self.history if trial.score is not None]
        best_first = sorted(judged, key=lambda trial: -(trial.score or 0.0))
        best = self.genotype()
        return iter(dict.fromkeys((best, self._thinned(best), *(trial.genotype for trial in best_first))))

    def _thinned(self, genotype: Any) -> Any:
        """A placement without the modules that the shared weights do not miss, one after the other.

        Draws hold several modules, and those that do not help seldom all go by chance.
        """
        space = self.problem.space
        if NONE not in space.candidates:
            return genotype
        best, score = genotype, self._value(genotype)
        while True:
            names = space.operators(best)
            fewer = [
                space.genotype([*names[:number], NONE, *names[number + 1 :]])
                for number, row in enumerate(space.rows)
                if names[number] != NONE and NONE in [space.primitives[c] for c in space.columns_at(row)]
            ]
            values = [self._value(each) for each in fewer]
            if not values or max(values) < score:
                return best
            score = max(values)
            best = fewer[values.index(score)]

    def shares(self) -> None:
        return None

    def weights(self) -> dict[str, Tensor]:
        return self.task.model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "history": stored(self.history),
            "training": self.training.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.history = state["step"], restored(state["history"], self.problem.space)
        self.training.load_state_dict(state["training"])


def judge(
    supernet: SearchedNetwork, genotype: Any, problem: Problem, train: Batches, judging: Batches
) -> float:
    """Accuracy of a genotype with the weights of a supernet; the statistics of its norms are taken anew.

    Args:
        supernet: A trained supernet.
        genotype: A genotype of its space.
        problem: What is searched, on what.
        train: Batches that the statistics are taken from.
        judging: Batches that the accuracy is taken on.
    """
    path = Path(supernet, genotype)
    first = range(min(STATISTICS_BATCHES, len(train)))
    renew_statistics(path, [train.batch(0, index) for index in first], problem.loss)
    share_buffers(path, problem.fabric)
    return problem.judge(path, judging)


class PathTask:
    """Classification by a supernet, a genotype drawn uniformly for every batch; it alone learns from that.

    Args:
        problem: What is searched, on what.
        batch_size: Images a step.
        epochs: Epochs of the training.
    """

    has_validation: bool = False

    def __init__(self, problem: Problem, batch_size: int, epochs: int = 1) -> None:
        self.problem, self.score = problem, problem.figure
        self.figures: tuple[str, ...] = (problem.figure,)
        self.train = problem.batches(0, batch_size)
        self.supernet = problem.supernet()
        self.supernet.alphas.requires_grad_(False)  # nobody moves them
        self.model: nn.Module = self.supernet
        # Several processes average gradients, so each of them has to have all.
        self.alone = problem.fabric.world_size == 1
        self.num_batches = len(self.train)
        self.num_steps = epochs * self.num_batches
        self.seed = problem.seed
        self.candidates = problem.candidates

    def batch(self, epoch: int, index: int) -> Any:
        batch = self.train.batch(epoch, index)
        self.supernet.begin_step((epoch * self.num_batches + index) / self.num_steps)
        rng = random.Random(seed_of(self.seed, "path", epoch, index))
        return batch, path_weights(self.supernet, self.candidates.sample(rng))

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        images_and_labels, weights = batch
        with self.supernet.mixed_by(weights, chosen_of(weights) if self.alone else None):
            loss, figure = self.problem.loss(model, *images_and_labels)
        if torch.is_grad_enabled() and not loss.requires_grad:
            loss.requires_grad_()  # a frozen network with nothing anywhere: no weight has a gradient
        return loss, figure

    def evaluate(self, model: nn.Module, split: Any) -> dict[str, float]:
        raise AssertionError("a supernet has no validation part; its candidates are judged")


class Path(nn.Module):
    """One genotype of a supernet, with the supernet's weights.

    Args:
        supernet: Where the weights are.
        genotype: Which operators run.
    """

    def __init__(self, supernet: SearchedNetwork, genotype: Any) -> None:
        super().__init__()
        self.supernet = supernet
        self.mixing = path_weights(supernet, genotype)

    def forward(self, *args: Any, **others: Any) -> Any:
        with self.supernet.mixed_by(self.mixing, chosen_of(self.mixing)):
            return self.supernet(*args, **others)


def chosen_of(mixing: Float[Tensor, "edges primitives"]) -> list[int]:
    """The primitive of every edge that alone is computed."""
    return mixing.argmax(1).tolist()


def path_weights(supernet: SearchedNetwork, genotype: Any) -> Float[Tensor, "edges primitives"]:
    """Mixing weights that select a genotype, where the supernet is."""
    return one_hot(supernet.space, genotype).to(supernet.alphas)


@torch.no_grad()
def renew_statistics(
    network: nn.Module, batches: Sequence[tuple[Any, ...]], loss: Callable[..., Any]
) -> None:
    """Takes the statistics of all batch norms anew: the mean of those of the batches.

    Args:
        network: All of it goes into training mode that lets itself.
        batches: What the loss takes besides the network.
        loss: Passes a batch through the network.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    if not norms:
        return
    for number, batch in enumerate(batches, 1):
        for norm in norms:
            norm.momentum = 1 / number  # makes the moving average the mean so far
        loss(network, *batch)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
