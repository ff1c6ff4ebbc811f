"""The one training loop: a task, a recipe, and a job that can stop and go on at any step."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from evaluators.job import Figures, check_weights
from evaluators.recipe import TrainConfig
from foundation.errors import InputError
from foundation.seeds import seed_of
from supernet.attach import convert_norms
from supernet.modules import freeze_norms

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks import Task


class Training:
    """Trains the network of a task; a `Job` whose answer is `result()`.

    The same seed gives the same weights on the CPU, in one go or stopped and resumed at any step.
    Several processes share each batch and average their gradients; unless `config.norm` says otherwise, each
    normalises its own share with the statistics of that share, and the running statistics of the first
    process are kept.

    Args:
        task: Network, data, loss and score.
        config: The recipe.
        fabric: Device, precision and processes.
        seed: Seed of everything drawn while training.

    Raises:
        InputError: If an epoch has no whole batch, or the recipe asks for what the network or device lacks.
    """

    def __init__(self, task: Task, config: TrainConfig, fabric: Fabric, seed: int) -> None:
        self.task, self.config, self.fabric, self.seed = task, config, fabric, seed
        if config.drop_path:
            drop_paths(task.model, config.drop_path)
        if config.norm == "sync":
            synchronise_norms(task.model, fabric)
        model, self.optimizer = fabric.setup(task.model, make_optimizer(task.model, config))
        self.model: nn.Module = model
        self.average: torch.optim.swa_utils.AveragedModel | None = None
        if config.ema:
            multi_avg = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)
            self.average = torch.optim.swa_utils.AveragedModel(
                task.model, multi_avg_fn=multi_avg, use_buffers=True
            )
        self.step = 0
        self.steps_per_epoch = task.num_batches // config.accumulate
        if not self.steps_per_epoch:
            raise InputError(
                f"the training images do not fill a batch of {config.batch_size}; give a smaller batch size"
            )
        self.total_steps = config.epochs * self.steps_per_epoch
        self.figures = Figures(("loss", *task.figures), self.steps_per_epoch, fabric.device)
        self.validation: dict[str, float] = {}
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best: dict[str, Tensor] | None = None
        self.summed: dict[str, Tensor] | None = None
        """Sum of the weights of the last epochs so far, where these are averaged."""

    def advance(self) -> None:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        torch.manual_seed(seed_of(self.seed, "step", self.step, self.fabric.global_rank))
        rate = self._rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        if self.config.norm == "frozen":
            freeze_norms(self.model)
        self.optimizer.zero_grad()
        parts = [
            self._part(epoch, index * self.config.accumulate + part) for part in range(self.config.accumulate)
        ]
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.task.model)
        self.figures.record(index, *(torch.stack(values).mean() for values in zip(*parts)))
        self.step += 1
        if self.step % self.steps_per_epoch == 0 and self.task.has_validation:
            self._validate(epoch)
        if self.step % self.steps_per_epoch == 0 and epoch >= self.config.epochs - self.config.average:
            self._sum()

    def _sum(self) -> None:
        """Adds the weights as they stand to those of the epochs before; whole numbers stay as they are."""
        with torch.no_grad():
            state = {name: tensor.detach().clone() for name, tensor in self.trained().state_dict().items()}
            for name, before in (self.summed or {}).items():
                if before.is_floating_point():
                    state[name] += before
        self.summed = state

    def _averaged(self) -> dict[str, Tensor]:
        assert self.summed is not None
        number = self.config.average
        return {
            name: tensor / number if tensor.is_floating_point() else tensor
            for name, tensor in self.summed.items()
        }

    def _part(self, epoch: int, index: int) -> tuple[Tensor, ...]:
        """Adds the gradient of one part of a batch; returns its loss and figures."""
        last = (index + 1) % self.config.accumulate == 0
        with self.fabric.no_backward_sync(self.model, enabled=not last):  # pyright: ignore[reportArgumentType]
            loss, *figures = self.task.loss(self.model, self.task.batch(epoch, index))
            self.fabric.backward(loss / self.config.accumulate)
        return loss.detach(), *(figure.detach() for figure in figures)

    def _rate(self, step: int) -> float:
        return self.config.rate(step, self.steps_per_epoch)

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
        rate = self._rate(max(0, self.step - 1))
        self.figures.check(done, self.step - done, rate)
        check_weights(self.task.model.parameters(), self.step - 1, rate)

    def report(self) -> dict[str, float]:
        self.figures.gather(self.fabric)
        self.check()
        metrics = {f"train_{name}": value for name, value in self.figures.means().items()}
        if self.task.has_validation:
            metrics |= {f"validation_{name}": value for name, value in self.validation.items()}
        return metrics | {"learning_rate": self._rate(self.step - 1)}

    def result(self) -> dict[str, float]:
        """Loads the weights to keep into the network and reads the test set: once, at the end."""
        kept = self.trained().state_dict() if self.best is None else self.best
        if self.summed is not None:
            kept = self._averaged()
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
            "summed": self.summed,
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
        self.summed = state.get("summed")  # version 0.1 averaged none


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of a recipe."""
    groups = config.groups(model)
    betas = (0.9, config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon)
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov
    )


def synchronise_norms(model: nn.Module, fabric: Fabric) -> None:
    """Has the batch norms of several GPUs normalise with the statistics of the whole batch, in place.

    Raises:
        InputError: If the device is no GPU: torch's SyncBatchNorm runs on GPUs alone.
    """
    if fabric.device.type != "cuda":
        raise InputError(f"norm=sync needs GPUs, not {fabric.device.type}; choose train or frozen")
    convert_norms(model)


def share_buffers(model: nn.Module, fabric: Fabric) -> None:
    """Gives every process the first one's buffers: running statistics follow each one's own images."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def drop_paths(model: nn.Module, probability: float) -> None:
    """Gives every block of a CIFAR ResNet stochastic depth (Huang et al., ECCV 2016, arXiv:1603.09382).

    Raises:
        InputError: If the network has no branches to drop.
    """
    from torchvision.ops import StochasticDepth

    blocks = [module for module in model.modules() if hasattr(module, "drop_path")]
    if not blocks:
        raise InputError(
            f"drop_path is for the CIFAR ResNets; {type(model).__name__} has no branches to drop"
        )
    for number, block in enumerate(blocks, 1):
        block.drop_path = StochasticDepth(probability * number / len(blocks), "row")
