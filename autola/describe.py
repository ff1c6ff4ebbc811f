"""What a user does next, in the words of the command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from autola.configs import SearchConfig
from autola.presets import RETRAIN_PRESETS
from autola.runs import stored_config
from evaluators.tasks.classification import Classification
from outputs.run_directory import RunDirectory
from search_space.placement import is_placement


def next_retraining(run: RunDirectory, members: Sequence[str] = ()) -> str:
    """The command that retrains what a search found beside plain, SE and CBAM networks.

    On the search's images and in its backbone, said where they differ from the preset's.

    Args:
        run: Run folder of the search.
        members: Folders in it to retrain instead of the run itself: those on its front.
    """
    config = stored_config(run, SearchConfig)
    preset = config.data.name if config.data.name in RETRAIN_PRESETS else "cifar10"
    usual = RETRAIN_PRESETS[preset].task
    assert isinstance(usual, Classification)
    words = ["autola", "retrain", "none", "se", "cbam"]
    found = [run.path / name for name in members] or [run.path]
    words += [f"{'places' if is_placement(path) else 'hoga'}:{path}" for path in found]
    words += ["--preset", preset]
    for name in ("backbone", "width"):
        words += _option(name, getattr(config, name), getattr(usual, name))
    if config.weights is not None:
        words += ["--weights", config.weights, "--identity"]
    for field in fields(config.data):
        words += _option(
            f"data.{field.name}", getattr(config.data, field.name), getattr(usual.data, field.name)
        )
    return shlex.join(words)


def _option(name: str, value: Any, usual: Any) -> list[str]:
    """The words that set an option, if it is not what it is anyway."""
    if value == usual:
        return []
    group, dot, key = name.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{group}{dot}{'' if value else 'no-'}{key}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{group}{dot}{key}", *map(str, values)]
