"""Settings of a retraining."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import tyro

from autola.configs.device import DeviceConfig
from autola.configs.named import AnyTask
from evaluators.recipe import TrainConfig
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term


@config
class RetrainConfig(DeviceConfig):
    """A retraining: one or several attentions, each with the same recipe and seeds."""

    task: Annotated[AnyTask, tyro.conf.arg(name="")]
    """The task: the network, its data and its score."""
    train: TrainConfig
    """The recipe of the trainings."""
    attentions: tuple[tuple[Term, ...], ...] = ()
    """The attentions that are compared; genotypes are stored in full."""
    seeds: tuple[int, ...] = (0,)
    """Seeds: each attention is trained once with every one of them, so more take longer and show the
    spread."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seeds:
            raise InputError("give at least one seed")
        rules.seed(self, "seeds")
        if len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"a seed is given twice: {' '.join(map(str, self.seeds))}")
        if len(set(self.attentions)) != len(self.attentions):
            raise InputError("an attention is given twice")
        processes = self.devices * self.machines
        if self.train.part_size % processes:
            raise InputError(
                f"a batch of {self.train.part_size} images does not split evenly over {processes} processes; "
                f"give train.batch_size a multiple of {processes * self.train.accumulate}"
            )

    def smoke(self) -> RetrainConfig:
        """A copy small enough to see the whole path in minutes on a CPU."""
        return replace(
            self, task=self.task.smoke(), train=self.train.smoke(self.task.smoke_batch), seeds=self.seeds[:1]
        )
