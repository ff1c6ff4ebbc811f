"""A trained network with what it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from autola.configs import RetrainConfig
from autola.runs import stored_config
from evaluators.tasks import TaskConfig
from foundation.errors import InputError
from outputs.records import CONFIG, DATA, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.weights import load_weights


@dataclass(frozen=True, eq=False)
class Trained:
    """One training of a retraining.

    Attributes:
        task: What was trained.
        data: What the network knows of its data.
        network: With its weights, in eval mode, on the CPU.
    """

    task: TaskConfig
    data: Mapping[str, Any]
    network: nn.Module


def open_trained(path: str | Path) -> Trained:
    """Reads a training from its records alone.

    Args:
        path: Folder of one attention and seed, inside a retraining's.

    Raises:
        InputError: If it is no such folder, or its weights are not complete.
    """
    run = RunDirectory.open(path)
    config = stored_config(run, RetrainConfig)
    if len(config.attentions) * len(config.seeds) != 1 and not run.has(WEIGHTS):
        raise InputError(f"{path} holds several trainings; load one of the folders in it")
    weights, data = load_weights(run.path / WEIGHTS), run.keys(DATA)
    try:
        network = config.task.network(data, config.attentions[0])
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{run.path / DATA} does not say what the network needs; was it edited?") from None
    if config.precision == "64-true":
        network.double()
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise InputError(f"the weights of {path} do not fit its {CONFIG}; was that edited?") from None
    return Trained(config.task, data, network.eval())
