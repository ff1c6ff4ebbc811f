"""The log of a run's figures: a line of JSON an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.config import read_text
from foundation.errors import InputError
from foundation.files import no_space, out_of_space


class MetricsLog:
    """Reads and writes metrics.jsonl.

    Args:
        path: The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Writes a line, onto the disk."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if out_of_space(error):
                raise no_space(self._path) from None
            raise

    def records(self) -> list[dict[str, Any]]:
        """All complete lines.

        Raises:
            InputError: If one of them is not JSON, or the file cannot be read.
        """
        if not self._path.exists():
            return []
        records = list[dict[str, Any]]()
        try:
            text = read_text(self._path, "record")
        except InputError:
            raise InputError(f"{self._path.parent} has no readable {self._path.name}") from None
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self._path} is damaged in line {number} ({error})") from None
            if not isinstance(record, dict):
                raise InputError(f"{self._path}: line {number} holds no JSON object")
            records.append(record)
        return records

    def seconds(self) -> float:
        """Seconds of all epochs, stops in between left out.

        Raises:
            InputError: If a line lacks its `epoch_seconds`.
        """
        each = [record.get("epoch_seconds") for record in self.records()]
        for number, value in enumerate(each, 1):
            if not isinstance(value, int | float):
                raise InputError(f"{self._path}: line {number} has no number as epoch_seconds")
        return round(sum(value for value in each if value is not None), 2)

    def position(self) -> dict[str, int]:
        """How much is logged: bytes and lines."""
        content = self._content()
        return {"logged": len(content), "lines": content.count(b"\n")}

    def set_back(self, position: Mapping[str, Any]) -> None:
        """Takes away what was written after a position; version 0.1 stored its bytes alone.

        Lines are counted: an editor may have changed their ends.

        Raises:
            InputError: If lines of before it are missing or damaged.
        """
        content = self._content()
        lines = position.get("lines", content[: position["logged"]].count(b"\n"))
        kept = b"".join(content.splitlines(keepends=True)[:lines])
        if kept.count(b"\n") < lines or ("lines" not in position and len(content) < position["logged"]):
            raise InputError(
                f"{self._path} lacks lines: the newest checkpoint was written after {lines}; "
                "put them back, or start again"
            )
        if len(kept) < len(content):
            os.truncate(self._path, len(kept))
        self.seconds()  # refuses damaged lines before more work is done

    def _content(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""
