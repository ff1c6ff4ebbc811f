"""Whether images fit into this machine's memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from foundation.errors import InputError

SHARE = 0.6
"""Fraction of the available memory that images may take."""


def available_bytes() -> int | None:
    """Memory to be had without swapping, within this container's limit; None if the system is silent."""
    found = []
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError):  # no such group, or "max"
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    if not found and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def check_fits(num_images: int, shape: tuple[int, ...], where: object) -> None:
    """Checks that so many images of `shape`, in bytes, can be kept.

    Raises:
        InputError: If they would take more than `SHARE` of the available memory.
    """
    needed, available = num_images, available_bytes()
    for side in shape:
        needed *= side
    if available is not None and needed > SHARE * available:
        size = "x".join(map(str, shape))
        raise InputError(
            f"{num_images:,} images of {size} in {where} need {needed / 2**30:.1f} GiB of memory, more than "
            f"{SHARE:.0%} of the {available / 2**30:.1f} GiB available; give a smaller image_size"
        )
