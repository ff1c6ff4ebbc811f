"""Which owners of leases live: by their processes on this machine, else by whether their leases change."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from autola.working.attempt import Attempt, lease_path

LEASE_SECONDS = 60.0
"""Time without a heartbeat after which an owner counts as dead."""


class Watch:
    """Sees which owners live: remembers what leases said, and when by this process's clock they changed.

    Args:
        seconds: Time without a change after which an owner counts as dead.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = LEASE_SECONDS if seconds is None else seconds
        self._seen: dict[Path, tuple[bytes, float]] = {}

    def dead(self, folder: Path, number: int, content: bytes, attempt: Attempt | None) -> bool:
        """Whether the owner of a lease that runs is dead."""
        if attempt is not None and gone(attempt):
            return True
        path, now = lease_path(folder, number), time.monotonic()
        known = self._seen.get(path)
        if known is None or known[0] != content:
            self._seen[path] = content, now
            return False
        return now - known[1] >= self._seconds


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
