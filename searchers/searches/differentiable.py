"""The loop of every differentiable search: alphas learn on one half of the data, weights on the other.

A method says three things: how alphas become mixing weights (`Mixture`), what changes between epochs
(`Callback`), and how a genotype is read off (its config's `derive`, or a callback that decides edges). How a
step moves alphas and weights is in `Updates`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from evaluators.job import Figures, check_weights
from foundation.seeds import seed_of
from search_space.space import NONE
from searchers import Shares
from searchers.searches.callback import Callback, Penalty
from searchers.searches.curvature import Curvature
from searchers.searches.likeliest import likeliest
from searchers.searches.mixture import Mixture
from searchers.searches.perturbation import Perturbed, competing, worths
from searchers.searches.problem import Problem
from searchers.searches.schedule import Schedule
from searchers.searches.updates import Updates, set_rate
from searchers.searches.watch import Watch
from searchers.settings import Differentiable
from supernet.derive import RULES

__all__ = ["Callback", "DifferentiableSearch", "Mixture", "Updates"]

RANKING_BATCHES = 4
"""Batches that candidates of a site are judged on when finalists are named; the finals judge on all."""


class DifferentiableSearch:
    """A search under way: one step updates the alphas, then the weights.

    Several processes start from the same weights, each has its part of every batch, and gradients are
    averaged; each process normalises with the statistics of its own part.

    Attributes:
        stopped: Why a guard stopped the search, in a sentence; None where none did.

    Args:
        config: Hyper-parameters.
        problem: What is searched, on what.
        mixture: How alphas become mixing weights, on a supernet of the problem.
        callbacks: What changes between epochs; they are called before those of the config.
        updates: How a step moves alphas and weights.
    """

    def __init__(
        self,
        config: Differentiable,
        problem: Problem,
        mixture: Mixture,
        callbacks: Sequence[Callback] = (),
        updates: type[Updates] = Updates,
    ) -> None:
        config.check(problem)
        self.config, self.problem, self.fabric = config, problem, problem.fabric
        self.mixture, self.supernet = mixture, mixture.supernet
        self.weight_batches = problem.batches(0, config.batch_size)
        self.alpha_batches = problem.batches(1, config.batch_size)
        self.steps_per_epoch = min(len(self.weight_batches), len(self.alpha_batches))
        self.schedule = Schedule(config, len(problem.space.rows), self.steps_per_epoch)
        self.step, self.total_steps = 0, self.schedule.total_steps
        self.stopped: str | None = None
        perturbs = config.derive == "perturbation"
        self.watch = Watch(config.guards, problem.space, looks_back=not perturbs)
        self.callbacks: list[Callback] = [*callbacks, Curvature(self.watch), self.watch]
        if problem.penalty is not None:
            self.callbacks.append(Penalty(problem.penalty))
        if perturbs:
            self.callbacks.append(Perturbed())
        self.updates = updates(config, problem, mixture, self.callbacks)
        names = ("weight_loss", f"weight_{problem.figure}", "alpha_loss", f"alpha_{problem.figure}")
        self.figures = Figures(names, self.steps_per_epoch, self.fabric.device)

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        for callback in self.callbacks:
            callback.begin_step(self, epoch)
        torch.manual_seed(seed_of(self.problem.seed, "step", self.step, self.fabric.global_rank))
        set_rate(self.updates.weight_optimizer, self.schedule.rate(epoch))
        self.supernet.begin_step(self.step / (self.config.epochs * self.steps_per_epoch))
        self.supernet.train()
        held, training = self.alpha_batches.batch(epoch, index), self.weight_batches.batch(epoch, index)
        resting = self.schedule.resting(epoch) or self.supernet.warming
        figures = self.updates.step(held, training, resting=resting)
        self.figures.record(index, *figures)
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self.finish_epoch(epoch)

    def finish_epoch(self, epoch: int) -> None:
        """Called after the last step of every epoch, counted from 0."""
        for callback in self.callbacks:
            callback.end_epoch(self, epoch)
        self.total_steps, self.stopped = self.schedule.total_steps, self.watch.stopped

    def check(self) -> None:
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        rate = self.schedule.rate(max(0, self.step - 1) // self.steps_per_epoch)
        self.figures.check(done, self.step - done, rate)
        check_weights([*self.supernet.parameters(), *self.mixture.architecture], self.step - 1, rate)

    def report(self) -> dict[str, float]:
        self.figures.gather(self.fabric)
        self.check()
        shares = self.mixture.shares().detach().cpu().double()
        smallest = torch.finfo(shares.dtype).tiny
        entropy = max(0.0, -(shares * shares.clamp(min=smallest).log()).sum(1).mean().item())
        rate = self.schedule.rate((self.step - 1) // self.steps_per_epoch)
        figures = self.figures.means() | {"alpha_entropy": entropy, "learning_rate": rate}
        for callback in self.callbacks:
            figures |= callback.figures()
        return figures

    def genotype(self) -> Any:
        strengths, _ = self.watch.answering(self.mixture)
        rule = RULES["argmax" if self.config.derive == "perturbation" else self.config.derive]
        return self.problem.kept(rule(self.problem.space, strengths), strengths)

    def ranked(self) -> Iterator[Any]:
        """The answer, then what keeps the limits: by falling worth at sites, by strength in cells."""
        space, strengths = self.problem.space, self.watch.answering(self.mixture)[0]
        values = [[math.log(max(strength, 1e-300)) for strength in row] for row in strengths]
        if NONE in space.candidates:
            values = [[-math.inf] * len(space.primitives) for _ in space.rows]
            for row, of_row in enumerate(values):
                columns = competing(self, row)
                for column, worth in zip(columns, worths(self, row, columns, 0, RANKING_BATCHES)):
                    of_row[column] = worth
        return likeliest(self.problem, self.genotype(), values)

    def shares(self) -> Shares:
        _, shares = self.watch.answering(self.mixture)
        space = self.problem.space
        return {row: dict(zip(space.primitives, of_row)) for row, of_row in zip(space.rows, shares)}

    def weights(self) -> dict[str, Tensor]:
        return self.supernet.state_dict()

    def move_to(self, device: torch.device) -> None:
        """Moves to a device what is not the network's own: alphas, their optimizers' averages, figures."""
        with torch.no_grad():
            for parameter in self.mixture.architecture:
                parameter.data, parameter.grad = parameter.data.to(device), None
        self.mixture.alive = self.mixture.alive.to(device)
        self.figures.values = self.figures.values.to(device)
        for optimizer in (self.updates.weight_optimizer, self.updates.alpha_optimizer):
            for kept in optimizer.state.values():
                for name, value in kept.items():
                    if name != "step":  # Adam keeps the number of steps on the host
                        kept[name] = value.to(device) if isinstance(value, Tensor) else value

    def state_dict(self) -> dict[str, Any]:
        state = {
            "step": self.step,
            "supernet": self.supernet.state_dict(),
            "architecture": [parameter.detach() for parameter in self.mixture.architecture[1:]],
            "alive": self.mixture.alive,
            "search_epochs": self.schedule.search_epochs,
            "weight_optimizer": self.updates.weight_optimizer.state_dict(),
            "alpha_optimizer": self.updates.alpha_optimizer.state_dict(),
            "figures": self.figures.state_dict(),
        }
        for callback in self.callbacks:
            state |= callback.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.supernet.load_state_dict(state["supernet"])
        with torch.no_grad():
            for parameter, value in zip(self.mixture.architecture[1:], state["architecture"], strict=True):
                parameter.copy_(value)
        self.mixture.alive.fill_(True)
        self.mixture.keep(state["alive"].to(self.mixture.alive.device))
        self.schedule.search_epochs = state["search_epochs"]
        self.updates.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.updates.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.figures.load_state_dict(state["figures"])
        for callback in self.callbacks:
            callback.load_state_dict(state)
        self.total_steps, self.stopped = self.schedule.total_steps, self.watch.stopped
