"""The one training loop: a task, a recipe, and a job that can stop and go on at any step."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from evaluators.job import Figures, check_weights
from evaluators.seeds import seed_of
from search_space.config import config
from search_space.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks import Task


@config
class TrainConfig:
    """How a network is trained."""

    epochs: int = 500
    """Passes over the training set."""
    batch_size: int = 256
    """Images a step, over all processes."""
    learning_rate: float = 0.1
    """At its highest."""
    momentum: float = 0.9
    """Of SGD."""
    nesterov: bool = False
    """Whether the momentum is Nesterov's."""
    weight_decay: float = 5e-4
    """L2 penalty on all weights."""
    schedule: Literal["cosine", "step"] = "cosine"
    """How the learning rate falls: half a cosine to `min_learning_rate`, or by `gamma` at `milestones`."""
    min_learning_rate: float = 0.0
    """At the end of the cosine."""
    milestones: tuple[int, ...] = ()
    """Epochs at which the step schedule multiplies the learning rate by `gamma`."""
    gamma: float = 0.1
    """Factor of the step schedule."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises from 0."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 for no clipping."""
    drop_path: float = 0.0
    """Probability of dropping the last block's branch in training; falls linearly towards the first."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is then evaluated; 0 for none."""
    validation_fraction: float = 0.1
    """Share of the training set held out, where the data has no validation part; 0 for none."""
    select: Literal["best", "last"] = "best"
    """Weights kept: of the best epoch on the held-out part, or of the last epoch."""

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate")
        shares = ("momentum", "label_smoothing", "drop_path", "ema", "validation_fraction")
        rest = ("weight_decay", "min_learning_rate", "warmup_epochs", "clip", "gamma")
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} is not positive")
        for name in shares:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} is not in 0 ... 1 (1 excluded)")
        for name in rest:
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")
        if self.warmup_epochs >= self.epochs:
            raise InputError(f"a warm-up of {self.warmup_epochs} epochs does not end within {self.epochs}")
        if self.schedule == "step" and not self.milestones:
            raise InputError("the step schedule needs milestones, for example 150 300")
        if self.nesterov and not self.momentum:
            raise InputError("nesterov needs a momentum")

    def rate(self, epoch: float) -> float:
        """The learning rate at a time counted in epochs.

        The warm-up is linear and by the step; cosine and milestones go by whole epochs.
        """
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        whole = math.floor(epoch)
        if self.schedule == "step":
            return self.learning_rate * self.gamma ** sum(whole >= m for m in self.milestones)
        return cosine(whole, self.epochs, self.learning_rate, self.min_learning_rate)


def cosine(epoch: int, epochs: int, highest: float, lowest: float) -> float:
    """Half a cosine from `highest` at epoch 0 to `lowest` at `epochs`."""
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / epochs)) / 2


class Training:
    """Trains the network of a task; a `Job` whose answer is `result()`.

    The same seed gives the same weights on the CPU, in one go or stopped and resumed at any step.
    Several processes share each batch and average their gradients; each normalises its own share with the
    statistics of that share, and the running statistics of the first process are kept.

    Args:
        task: Network, data, loss and score.
        config: The recipe.
        fabric: Device, precision and processes.
        seed: Of everything drawn while training.
    """

    def __init__(self, task: Task, config: TrainConfig, fabric: Fabric, seed: int) -> None:
        self.task, self.config, self.fabric, self.seed = task, config, fabric, seed
        if config.drop_path:
            drop_paths(task.model, config.drop_path)
        optimizer = torch.optim.SGD(
            task.model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
        )
        model, self.optimizer = fabric.setup(task.model, optimizer)
        self.model: nn.Module = model
        self.average: torch.optim.swa_utils.AveragedModel | None = None
        if config.ema:
            multi_avg = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)
            self.average = torch.optim.swa_utils.AveragedModel(
                task.model, multi_avg_fn=multi_avg, use_buffers=True
            )
        self.step = 0
        self.steps_per_epoch = task.steps_per_epoch
        self.total_steps = config.epochs * task.steps_per_epoch
        self.figures = Figures(("loss", *task.figures), self.steps_per_epoch, fabric.device)
        self.validation: dict[str, float] = {}
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best: dict[str, Tensor] | None = None

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        torch.manual_seed(seed_of(self.seed, "step", self.step, self.fabric.global_rank))
        rate = self.config.rate(self.step / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        loss, *figures = self.task.loss(self.model, self.task.batch(epoch, index))
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.task.model)
        self.figures.record(index, loss, *figures)
        self.step += 1
        if self.step % self.steps_per_epoch == 0 and self.task.has_validation:
            self._validate(epoch)

    def _validate(self, epoch: int) -> None:
        self.validation = self.task.evaluate(self.trained(), "validation")
        score = self.validation[self.task.score]
        if self.config.select == "best" and score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best = copy.deepcopy(self.trained().state_dict())

    def trained(self) -> nn.Module:
        """The network as it stands, the same in all processes: the moving average where there is one."""
        model = self.task.model if self.average is None else self.average.module
        share_buffers(model, self.fabric)
        return model

    def check(self) -> None:
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        rate = self.config.rate(max(0, self.step - 1) / self.steps_per_epoch)
        self.figures.check(done, self.step - done, rate)
        check_weights(self.task.model.parameters(), self.step - 1, rate)

    def report(self) -> dict[str, float]:
        self.figures.gather(self.fabric)
        self.check()
        metrics = {f"train_{name}": value for name, value in self.figures.means().items()}
        if self.task.has_validation:
            metrics |= {f"validation_{name}": value for name, value in self.validation.items()}
        return metrics | {"learning_rate": self.config.rate((self.step - 1) / self.steps_per_epoch)}

    def result(self) -> dict[str, float]:
        """Loads the weights to keep into the network and reads the test set: once, at the end."""
        kept = self.trained().state_dict() if self.best is None else self.best
        self.task.model.load_state_dict(kept)
        metrics = {
            f"test_{name}": value for name, value in self.task.evaluate(self.task.model, "test").items()
        }
        if self.best is not None:
            metrics |= {"best_epoch": self.best_epoch, f"validation_{self.task.score}": self.best_score}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "figures": self.figures.state_dict(),
            "validation": self.validation,
            "best": self.best,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.figures.load_state_dict(state["figures"])
        self.validation = state["validation"]
        self.best, self.best_score, self.best_epoch = state["best"], state["best_score"], state["best_epoch"]


def share_buffers(model: nn.Module, fabric: Fabric) -> None:
    """Gives every process the first one's buffers: running statistics follow each one's own images."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def drop_paths(model: nn.Module, probability: float) -> None:
    """Gives every block of a CIFAR ResNet stochastic depth (Huang et al., ECCV 2016, arXiv:1603.09382).

    Raises:
        InputError: If the network has no place for it.
    """
    from torchvision.ops import StochasticDepth

    blocks = [module for module in model.modules() if hasattr(module, "drop_path")]
    if not blocks:
        raise InputError(f"drop_path is for the CIFAR ResNets; {type(model).__name__} has no place for it")
    for number, block in enumerate(blocks, 1):
        block.drop_path = StochasticDepth(probability * number / len(blocks), "row")
