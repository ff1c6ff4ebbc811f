"""Tasks with their data read, each once, however many items are of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import RetrainConfig
from autola.data_record import check_data, described
from evaluators.recipe import TrainConfig
from evaluators.tasks import Setting, TaskConfig
from foundation.config import to_json, with_value
from outputs.run_directory import RunDirectory

ANY: dict[str, Any] = {
    "epochs": 1,
    "schedule": "cosine",
    "milestones": (),
    "warmup_epochs": 0.0,
    "average": 0,
}
"""Settings of a recipe that do not concern the data."""

NETWORK = ("backbone", "width")
"""Settings of a task that do not, either."""

PATHS = ("root", "weights", "detections")
"""Settings that say where something is: the same for all of a run, whether relative or from the top."""


class Settings:
    """Reads the data of tasks, and holds them against what runs recorded.

    Args:
        fabric: Device and processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self._read = dict[str, Setting]()
        self._checked = set[tuple[str, Path]]()

    def of(self, task: TaskConfig, train: TrainConfig) -> Setting:
        """A task with its data read, under a recipe."""
        key = _key(task, train)
        if key not in self._read:
            self._read[key] = task.read(train, self.fabric)
        return self._read[key]

    def checked(self, config: RetrainConfig, whole: Path) -> Setting:
        """The task of a training that is a part of a run, checked to have the run's data.

        Args:
            config: A training.
            whole: The run that it is a part of.

        Raises:
            InputError: If the data are not those that the run began with.
        """
        setting, key = self.of(config.task, config.train), (_key(config.task, config.train), whole)
        if key not in self._checked:
            check_data(RunDirectory(whole), described(config, setting))
            self._checked.add(key)
        return setting


def _key(task: TaskConfig, train: TrainConfig) -> str:
    keys = {name: value for name, value in json.loads(to_json(task)).items() if name not in NETWORK}
    for name in PATHS:
        keys = with_value(keys, name, "")
    return json.dumps(keys) + to_json(replace(train, **ANY))
