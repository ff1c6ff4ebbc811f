"""The settings of a run, held against what they were when it began."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from foundation.errors import InputError
from outputs.records import CONFIG, ENVIRONMENT, Records

SETTINGS = "settings"
"""Key in environment.json of a digest of config.json as it was at the start."""

_ROOT = "root"
"""Key in config.json of the path of the data, which may move."""


def check_settings(run: Records) -> None:
    """Checks that config.json says what it said when the run began; version 0.1 did not record that.

    Raises:
        InputError: If it was edited in more than the data's path.
    """
    then = run.keys(ENVIRONMENT).get(SETTINGS) if run.has(ENVIRONMENT) else None
    if then is not None and then != settings_digest(run.text(CONFIG)):
        raise InputError(
            f"{run.path / CONFIG} was edited since the run began, and what is recorded belongs to the "
            "settings before; put them back, or start a new run"
        )


def move_data(run: Records, root: str) -> None:
    """Writes into config.json where the data are now; all else stays as it is."""
    run.write_json(CONFIG, _with_root(run.json(CONFIG), root))


def settings_digest(config: str) -> str:
    """A digest of what config.json says, but for the path of the data."""
    text = json.dumps(_with_root(json.loads(config), ""), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _with_root(value: Any, root: str) -> Any:
    if isinstance(value, dict):
        return {
            key: root if key == _ROOT and part is not None else _with_root(part, root)
            for key, part in value.items()
        }
    return [_with_root(part, root) for part in value] if isinstance(value, list) else value
