"""The log of a run's figures: a line of JSON an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.errors import InputError, shown
from foundation.files import no_space, out_of_space
from outputs.records import Records, check_number


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

    def records(self, *needed: str) -> list[dict[str, Any]]:
        """All complete lines.

        Args:
            needed: Keys that each has to have.

        Raises:
            InputError: If one of them is not JSON or lacks a key, or the file cannot be read.
        """
        if not self._path.exists():
            return []
        records = list[dict[str, Any]]()
        text = Records(self._path.parent).text(self._path.name)
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self._path} is damaged in line {number} ({error})") from None
            if not isinstance(record, dict):
                raise InputError(f"{self._path}: line {number} holds no JSON object")
            for key in needed:
                if key not in record:
                    raise InputError(f"{self._path}: line {number} has no {key}; was it edited?")
            records.append(record)
        return records

    def seconds(self) -> float:
        """Seconds of all epochs, stops in between left out.

        Raises:
            InputError: If a line lacks its `epoch_seconds`.
        """
        return round(sum(record["epoch_seconds"] for record in self._timed()), 2)

    def position(self) -> dict[str, int]:
        """How much is logged: bytes and lines."""
        content = self._content()
        return {"logged": len(content), "lines": content.count(b"\n")}

    def set_back(self, position: Mapping[str, Any], step: int | None) -> None:
        """Takes away what was written after a checkpoint; version 0.1 stored the position in bytes alone.

        Lines are counted: an editor may have changed their ends.

        Args:
            position: Position of the log's end, as the checkpoint has it.
            step: Step of the checkpoint; None without one.

        Raises:
            InputError: If lines of before it are missing or damaged, or the log is of another run.
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
        self._check_steps(step)

    def _timed(self) -> list[dict[str, Any]]:
        """All lines, each with its seconds."""
        records = self.records()
        for number, record in enumerate(records, 1):
            check_number(record, "epoch_seconds", f"{self._path}: line {number}")
        return records

    def _check_steps(self, reached: int | None) -> None:
        """Checks that the log can be that of the checkpoint: steps rise, and end before it was written."""
        before = 0
        for number, record in enumerate(self._timed(), 1):
            step = record.get("step", before + 1)  # trials have none
            if not isinstance(step, int) or step <= before or (reached is not None and step > reached):
                raise InputError(
                    f"{self._path}: line {number} is of step {shown(step)}, after {before}, and the "
                    f"newest checkpoint of {reached}; was it taken from another run?"
                )
            before = step

    def _content(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""
