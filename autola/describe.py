"""What a user does next, in the words of the command line."""

from __future__ import annotations

import shlex

from autola.configs import SearchConfig
from autola.presets import RETRAIN_PRESETS
from autola.runs import stored_config
from outputs.run_directory import RunDirectory


def next_retraining(run: RunDirectory) -> str:
    """The command that retrains what a search found beside plain, SE and CBAM networks."""
    data = stored_config(run, SearchConfig).data
    preset = data.name if data.name in RETRAIN_PRESETS else "cifar10"
    words = ["autola", "retrain", "none", "se", "cbam", f"hoga:{run.path}", "--preset", preset]
    usual = RETRAIN_PRESETS[preset].data
    for key in ("name", "root", "image_size"):
        value = getattr(data, key)
        if value is not None and value != getattr(usual, key):
            words += [f"--data.{key.replace('_', '-')}", str(value)]
    return shlex.join(words)
