"""Advice on the network of a task: its data, loss, score and recipe."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from autola.advising.subject import Subject
from autola.configs import RetrainConfig
from autola.data_record import described
from evaluators.tasks import Halved, Task, new_network
from evaluators.train import make_optimizer
from foundation.errors import InputError
from foundation.seeds import seed_of
from supernet.modules import freeze_norms

log = logging.getLogger(__name__)

HELD_OUT = 0.2
"""Share of the training set that trained networks are judged on, where the recipe holds out none."""


@dataclass(frozen=True, eq=False)
class TaskBatches:
    """The training batches of a task.

    Args:
        task: The task.
    """

    task: Task

    def __len__(self) -> int:
        return self.task.num_batches

    def batch(self, epoch: int, index: int) -> Any:
        """A batch, as the loss of the task takes it."""
        return self.task.batch(epoch, index)


def check_settings(config: RetrainConfig) -> None:
    """Refuses settings that advice does without, before any process is started.

    Raises:
        InputError: If there are any.
    """
    if config.devices * config.machines > 1 or config.precision not in ("32-true", "64-true"):
        raise InputError("advice computes in one process, in one precision; leave out devices and precision")
    recipe = config.train
    if recipe.norm == "sync" or recipe.accumulate > 1 or recipe.ema or recipe.drop_path:
        raise InputError("advice trains plainly; leave out train.norm sync, accumulate, ema and drop_path")
    if config.compile or config.recompute:
        raise InputError("advice computes as the network is; leave out compile and recompute")


def subject_of_task(config: RetrainConfig, fabric: Fabric, seed: int) -> Subject:
    """What is advised on, by the settings of a retraining; its epochs and seeds are planned by the time.

    Raises:
        InputError: If the data cannot be read or halved.
    """
    recipe = config.train
    if not recipe.validation_fraction:
        recipe = replace(recipe, validation_fraction=HELD_OUT)
        log.info("a share of %g of the training set is held out to judge on", HELD_OUT)
    config.task.refuse_unused(recipe)
    setting = config.task.read(recipe, fabric)
    if not isinstance(setting, Halved):
        raise InputError(f"the task {config.task.name} does not say how its training set is halved")
    known, (first, second, sizes) = described(config, setting), setting.halves()
    log.info("halves of the training set: %s", sizes)

    def model() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            network = new_network(config.task, known, (), seed).to(fabric.device)
        if recipe.norm == "frozen":
            freeze_norms(network)
        return network

    def whole(number: int) -> TaskBatches:
        return TaskBatches(setting.start(nn.Module(), number))

    judge = setting.start(nn.Module(), seed)

    def loss(network: Any, batch: Any) -> Tensor:
        value, *_ = judge.loss(network, batch)
        return value

    return Subject(
        model=model,
        halves=(
            TaskBatches(first.start(nn.Module(), seed_of(seed, "half", 0))),
            TaskBatches(second.start(nn.Module(), seed_of(seed, "half", 1))),
        ),
        whole=whole,
        loss=loss,
        score=lambda network: judge.evaluate(network, "validation")[judge.score],
        score_name=f"held-out {judge.score}",
        optimizer=partial(make_optimizer, config=recipe),
        input_shape=setting.input_shape,
        network=str(getattr(config.task, "backbone", config.task.name)),
    )
