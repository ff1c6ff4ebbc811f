"""Settings of advice, as config.json and the command line share them."""

from __future__ import annotations

from typing import Annotated

import tyro

from autola.configs import AnyTask, DeviceConfig
from evaluators.recipe import TrainConfig
from foundation import rules
from foundation.config import config
from foundation.errors import InputError


@config
class AdviceConfig(DeviceConfig):
    """Advice: in which network, trained how, among which placements."""

    task: Annotated[AnyTask, tyro.conf.arg(name="")]
    """The task: the network, its data and its score."""
    train: TrainConfig
    """The recipe of the trainings; its epochs are planned by the time."""
    target: str | None = None
    """The most that the network may cost; commas join limits that hold together. None for no limit."""
    primitives: tuple[str, ...] | None = None
    """What may stand at a site, in the grammar, with none if it may stay empty; the usual ones, as of a
    search, if left out."""
    sites: tuple[str, ...] | None = None
    """Names of the modules that attention may follow; those after the last norm of each block if left out."""
    seed: int = 0
    """Seed of the search, the random placements and the trainings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.seed(self, "seed")
        if self.devices * self.machines > 1:
            raise InputError("advice gives every training one device; train side by side with --jobs")
