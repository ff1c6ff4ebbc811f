"""What a run's config.json says, compared but for the place of the data; numbers of records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from foundation.errors import InputError

ROOT = "root"
"""Key of a config under which the folder of the data stands, which may move."""


def check_number(record: Mapping[str, Any], key: str, where: str) -> None:
    """Checks that a record has a number.

    Raises:
        InputError: If it has not; begins with `where`.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where} has no number as {key}")


def digest_of(config: str) -> str:
    """A digest of what config.json says, but for the place of the data."""
    text = json.dumps(with_root(json.loads(config), ""), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def with_root(value: Any, root: str) -> Any:
    """A config, as JSON values, with another folder of the data where it has one."""
    if isinstance(value, dict):
        return {
            key: root if key == ROOT and part is not None else with_root(part, root)
            for key, part in value.items()
        }
    return [with_root(part, root) for part in value] if isinstance(value, list) else value
