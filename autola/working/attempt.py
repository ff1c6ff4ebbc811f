"""What a lease says: one attempt at an item, as a file in its folder."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from foundation.config import config, parse
from foundation.errors import InputError

FORMAT = 1
"""Version of what stands in the folder `work`; a newer one is not touched."""

WORK, LOG = "work", "log.txt"
"""In the folder of an item: what concerns who does it; what its workers said."""


class NewerError(InputError):
    """A newer version of autola wrote it."""


_NAME = re.compile(r"lease-(\d{1,6})\.json")

End = Literal["done", "failed", "unfit", "released", "forgiven"]


@config
class Attempt:
    """What a lease says."""

    format: int = FORMAT
    """Version."""
    owner: str
    """Host, process and a random number."""
    host: str
    """Name of the machine."""
    process: int
    """Number of the process there."""
    machine: str
    """What its processes can be looked up by; "" where that is not known."""
    started: str
    """When the process started, in the machine's own count."""
    driver: str
    """Random name of the driver that the owner works for; "" for none."""
    since: float
    """Seconds since 1970 by the owner's clock: shown, never compared."""
    beat: int = 0
    """Heartbeats so far."""
    state: Literal["running", "done", "failed", "unfit", "released", "forgiven"] = "running"
    """Whether it runs, or how it ended; unfit is not tried again, forgiven ends the count of failures."""
    began: int = 0
    """Epochs that were complete at its start."""
    epoch: int = 0
    """Epochs that are complete."""
    threads: int = 0
    """Threads that it computes with; 0 while that is not known."""
    processor: str = ""
    """Instructions that it computes by, as torch names them, or the GPU."""
    why: str = ""
    """Why it failed."""


def numbers(folder: Path) -> list[int]:
    """Numbers of the leases of an item, from the first."""
    found = list[int]()
    with suppress(FileNotFoundError), os.scandir(folder / WORK) as entries:
        found = [int(match[1]) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    return sorted(found)


def read_lease(folder: Path, number: int) -> tuple[bytes, Attempt | None]:
    """A lease as it is, and what it says; None while it is being written.

    Raises:
        InputError: If a newer version of autola wrote it.
    """
    path = lease_path(folder, number)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b"", None
    try:
        keys = json.loads(content)
    except ValueError:
        return content, None
    check_format(keys, path)
    try:
        return content, parse(Attempt, keys, str(path))
    except InputError:
        return content, None


def check_format(keys: object, path: Path) -> None:
    """Refuses what a newer version of autola wrote.

    Raises:
        NewerError: If that is so.
    """
    found = keys.get("format") if isinstance(keys, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise NewerError(
            f"{path} is of a newer autola (format {found}, and this one knows {FORMAT}): install that here"
        )


def lease_path(folder: Path, number: int) -> Path:
    """The file of a lease."""
    return folder / WORK / f"lease-{number}.json"
