"""Which owners of leases live: by their processes on this machine, else by whether their leases change."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from zlib import crc32

from autola.working.attempt import Attempt, lease_path

LEASE_SECONDS = 60.0
"""Time without a heartbeat after which an owner counts as dead."""


class Watch:
    """Sees which owners live: remembers what leases said, and when by this process's clock they changed.

    Args:
        seconds: Time without a change after which an owner counts as dead.
        known: Items whose owners another observer, who has looked for longer, found dead, and the marks of
            their leases (`mark_of`).
    """

    def __init__(self, seconds: float | None = None, known: Mapping[str, int] | None = None) -> None:
        self._seconds = LEASE_SECONDS if seconds is None else seconds
        self._known = dict(known or {})
        self._seen: dict[Path, tuple[bytes, float]] = {}

    def believe(self, known: Mapping[str, int]) -> None:
        """Takes for dead whom another observer found so; see `known`."""
        self._known = dict(known)

    def dead(self, folder: Path, number: int, content: bytes, attempt: Attempt | None) -> bool:
        """Whether the owner of a lease that runs is dead."""
        if attempt is not None and gone(attempt):
            return True
        if self._known.get(folder.name) == mark_of(number, content):
            return True
        path, now = lease_path(folder, number), time.monotonic()
        known = self._seen.get(path)
        if known is None or known[0] != content:
            self._seen[path] = content, now
            return False
        return now - known[1] >= self._seconds


def mark_of(number: int, content: bytes) -> int:
    """What tells a lease, as it is now, from what it says after one more heartbeat, and from others."""
    return crc32(content, number)


@cache
def machine() -> str:
    """This boot of this machine, and the container in it whose processes have numbers of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def start_of(process: int) -> str:
    """When a process of this machine started, which no change of the clock moves; "" if it has ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if words[0] in "ZX" else words[19]


def gone(attempt: Attempt) -> bool:
    """Whether an owner is known to have ended: it was a process of this machine."""
    same = bool(attempt.machine) and attempt.machine == machine()
    return same and attempt.started != start_of(attempt.process)
