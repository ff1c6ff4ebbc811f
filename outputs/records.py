"""Records by name in a folder: texts and JSON, whole or not there, read with care."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.config import loads, read_text
from foundation.errors import InputError
from foundation.files import write_text

CONFIG, ENVIRONMENT, DATA, METRICS = "config.json", "environment.json", "data.json", "metrics.jsonl"
GENOTYPE, SHARES, RESULT, WEIGHTS = "genotype.json", "shares.json", "result.json", "weights.safetensors"
CHECKPOINTS = "checkpoints"
"""Names of the records of a run."""


class Records:
    """Reads and writes the records of a folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self, name: str) -> str:
        """A text record.

        Raises:
            InputError: If the run has none of that name.
        """
        try:
            return read_text(self.path / name, "record")
        except InputError:
            raise InputError(f"{self.path} has no readable {name}") from None

    def json(self, name: str) -> Any:
        """A JSON record.

        Raises:
            InputError: If the run has none of that name, or it is cut short.
        """
        text = self.text(name)
        try:
            return loads(text)
        except InputError as error:
            raise InputError(f"{self.path / name}: {error}") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path / name} is cut short or not JSON ({error})") from None
        except RecursionError:
            raise InputError(f"{self.path / name} is nested too deeply to be one of autola's") from None
        except ValueError:  # Python's limit on digits
            raise InputError(f"{self.path / name} has a number too long to be one of autola's") from None

    def keys(self, name: str, *needed: str) -> dict[str, Any]:
        """A JSON record that is an object.

        Args:
            name: The record.
            needed: Keys that it has to have.

        Raises:
            InputError: If the run has none of that name, it is cut short or of another shape, or lacks a key.
        """
        value = self.json(name)
        if not isinstance(value, dict):
            raise InputError(f"{self.path / name} holds no JSON object; was it edited?")
        for key in needed:
            if key not in value:
                raise InputError(f"{self.path / name} has no {key}; was it edited?")
        return value

    def numbers(self, name: str, *needed: str) -> dict[str, Any]:
        """A JSON record that is an object; see `keys`. What is needed has to be numbers."""
        value = self.keys(name, *needed)
        for key in needed:
            check_number(value, key, str(self.path / name))
        return value

    def has(self, name: str) -> bool:
        """Whether a record is there."""
        return (self.path / name).exists()

    def write_text(self, name: str, text: str) -> None:
        """Writes a text record."""
        write_text(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON record."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")


def check_number(record: Mapping[str, Any], key: str, where: str) -> None:
    """Checks that a record has a number, neither infinity nor NaN: what diverges leaves no result.

    Raises:
        InputError: If it has not; begins with `where`.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where} has no number as {key}")
