"""CPU cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Counts the cores that are given to this process: a container or scheduler may give it a few of all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
