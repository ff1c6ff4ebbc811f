"""The largest memory of this process and of those that it starts."""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Event, Thread

import psutil
import torch

EVERY = 0.25
"""Seconds between two looks at the processes that this one started."""


class Memory:
    """Looks at memory while it is entered.

    Attributes:
        children: Largest memory of the started processes together, in bytes, without what they share.

    Args:
        device: Where it is computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.children = device, 0
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY):
            self.children = max(self.children, own_memory(psutil.Process().children(recursive=True)))

    def peak(self) -> int:
        """Largest memory so far, from the start of this process, in bytes."""
        return peak_resident() + self.children

    def device_peak(self) -> int | None:
        """Largest memory that torch held on the GPU, in bytes; None without one."""
        return torch.cuda.max_memory_reserved(self.device) if self.device.type == "cuda" else None


def own_memory(processes: list[psutil.Process]) -> int:
    """Memory of some processes together, without what they share with others, in bytes."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):  # it has ended, or is not ours to look at
            total += process.memory_full_info().uss
    return total


def peak_resident() -> int:
    """Largest memory that this process has had, in bytes."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    kilo = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
