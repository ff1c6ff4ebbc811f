"""The settings of a run, held against what they were when it began."""

from __future__ import annotations

from foundation.config import digest, with_value
from foundation.errors import InputError
from outputs.records import CONFIG, ENVIRONMENT, Records

SETTINGS = "settings"
"""Key in environment.json of a digest of config.json as it was at the start."""

ROOT = "root"
"""In config.json: where the data are, which may move."""


def check_settings(run: Records) -> None:
    """Checks that config.json says what it said when the run began; version 0.1 did not record that.

    Raises:
        InputError: If it was edited in more than the data's path.
    """
    then = run.keys(ENVIRONMENT).get(SETTINGS) if run.has(ENVIRONMENT) else None
    if then is not None and then != digest(run.text(CONFIG), ROOT):
        raise InputError(
            f"{run.path / CONFIG} was edited since the run began, and what is recorded belongs to the "
            "settings before; put them back, or start a new run"
        )


def move_data(run: Records, root: str) -> None:
    """Writes into config.json where the data are now; all else stays as it is."""
    run.write_json(CONFIG, with_value(run.json(CONFIG), ROOT, root))
