"""A trained network with what it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat, PositiveInt
from torch import nn

from autola.configs import RetrainConfig
from autola.runs import stored_config
from evaluators.starting_weights import is_finite, of_other_kind
from evaluators.tasks import TaskConfig
from foundation.config import parse
from foundation.errors import InputError
from outputs.records import CONFIG, DATA, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.weights import load_weights

KINDS: dict[str, Any] = {
    "input_shape": tuple[PositiveInt, PositiveInt, PositiveInt],
    "num_classes": PositiveInt,
    "classes": tuple[str, ...],
    "category_ids": tuple[int, ...],
    "keypoints": tuple[str, ...],
    "skeleton": tuple[tuple[PositiveInt, PositiveInt], ...],
    "mean": tuple[FiniteFloat, ...],
    "std": tuple[FiniteFloat, ...],
    "vocabulary": str,
}
"""Types of what tasks record of their data."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One training of a retraining.

    Attributes:
        task: What was trained.
        data: What the network knows of its data.
        network: The network with its trained weights, in eval mode, on the CPU.
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
    if len(config.attentions) * len(config.seeds) != 1:
        if not run.has(WEIGHTS):
            raise InputError(f"{path} holds several trainings; load one of the folders in it")
        raise InputError(f"{run.path / CONFIG} does not name one attention and one seed; was it edited?")
    weights, data = load_weights(run.path / WEIGHTS), run.keys(DATA, *config.task.facts)
    for key in config.task.facts:
        parse(KINDS[key], data[key], f"{run.path / DATA}: {key}")
    if len(data.get("classes", ())) != data.get("num_classes", len(data.get("classes", ()))):
        raise InputError(f"{run.path / DATA} names {len(data['classes'])} of {data['num_classes']} classes")
    _check_normalisation(data, run.path / DATA)
    try:
        network = config.task.network(data, config.attentions[0])
    except InputError:
        raise
    except Exception:  # whatever a network raises at facts that are not its own
        raise InputError(f"{run.path / DATA} does not say what the network needs; was it edited?") from None
    if config.precision == "64-true":
        network.double()
    broken = next((name for name, tensor in weights.items() if not is_finite(tensor)), None)
    if broken is not None:
        raise InputError(
            f"{run.path / WEIGHTS} holds infinity or NaN in {broken}: nothing can be predicted with it"
        )
    wanted = network.state_dict()
    try:
        if any(name in wanted and of_other_kind(tensor, wanted[name]) for name, tensor in weights.items()):
            raise RuntimeError("whole numbers for real ones, or the other way round")
        network.load_state_dict(weights)
    except RuntimeError:
        raise InputError(f"the weights of {path} do not fit its {CONFIG}; was that edited?") from None
    return Trained(config.task, data, network.eval())


def _check_normalisation(data: Mapping[str, Any], where: Path) -> None:
    """Refuses means and deviations that are not one for each channel: a single one would fit all in silence.

    Raises:
        InputError: If they are not, or a deviation is not positive.
    """
    for key in ("mean", "std"):
        if key in data and len(data[key]) != data["input_shape"][0]:
            raise InputError(
                f"{where}: {key} has {len(data[key])} numbers for {data['input_shape'][0]} channels"
            )
    if not all(value > 0 for value in data.get("std", ())):
        raise InputError(f"{where}: std has a number that is not positive")
