"""What a user does next, in the words of the command line."""

from __future__ import annotations

import shlex

from autola.configs import SearchConfig
from autola.presets import RETRAIN_PRESETS
from outputs.run_directory import CONFIG, RunDirectory
from search_space.config import parse_json
from search_space.errors import InputError


def search_config(run: RunDirectory) -> SearchConfig:
    """The config of a search.

    Raises:
        InputError: If the run is not a search, or its config is damaged.
    """
    if "train" in run.json(CONFIG):
        raise InputError(f"{run.path} is a retraining, not a search; inspect a genotype.json in it instead")
    return parse_json(SearchConfig, run.text(CONFIG), str(run.path / CONFIG))


def next_retraining(run: RunDirectory) -> str:
    """The command that retrains what a search found beside plain, SE and CBAM networks."""
    data = search_config(run).data
    preset = data.name if data.name in RETRAIN_PRESETS else "cifar10"
    words = ["autola", "retrain", "none", "se", "cbam", f"hoga:{run.path}", "--preset", preset]
    usual = RETRAIN_PRESETS[preset].data
    for key in ("name", "root", "image_size"):
        value = getattr(data, key)
        if value is not None and value != getattr(usual, key):
            words += [f"--data.{key.replace('_', '-')}", str(value)]
    return shlex.join(words)
