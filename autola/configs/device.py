"""Where and how a job computes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from outputs.trackers import NONE, TRACKERS

MOST_THREADS = 4096
"""The most CPU threads that may be asked for: more is a slip of the keyboard."""


DeviceKind = Literal["auto", "cpu", "gpu", "mps"]
"""Kinds of devices, and the fastest that is there."""


@config
class DeviceConfig:
    """Where and how a job computes."""

    device: DeviceKind = "auto"
    """Kind of device to compute on; auto takes the fastest that is there."""
    devices: int = 1
    """Devices to use on each machine; each runs one process with its share of every batch, so more are
    faster. torchrun and Slurm set it themselves."""
    machines: int = 1
    """Number of machines, where autola is started by hand on each; torchrun and Slurm set it themselves."""
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Number format of the arithmetic: float32, float64, or mixed, which computes in half precision, faster
    and in less memory, and keeps weights, alphas, statistics and losses in float32."""
    compile: bool = False
    """Compile the network block by block by torch.compile: faster steps after minutes of compiling."""
    recompute: bool = False
    """Compute every block again in the backward pass instead of keeping its maps: less memory, slower."""
    threads: int | None = None
    """CPU threads of each process; PyTorch's own choice if left out. More are faster up to the number of
    cores; the last bits of sums depend on it."""
    tracker: tuple[str, ...] = (NONE,)
    """Where figures and settings go beside the run folder: mlflow, trackio or both. Each needs its package:
    pip install 'autola[mlflow]', 'autola[trackio]'."""

    def __post_init__(self) -> None:
        rules.positive(self, "devices", "machines", "threads")
        if self.threads is not None and self.threads > MOST_THREADS:
            raise InputError(f"threads={self.threads} are more than {MOST_THREADS}")
        if self.compile and self.recompute:
            raise InputError("blocks are either compiled or computed again; choose compile or recompute")
        if self.tracker == (NONE,):
            return
        if NONE in self.tracker:
            raise InputError(f"trackers are either {NONE} or some: {' '.join(self.tracker)}")
        if len(set(self.tracker)) != len(self.tracker):
            raise InputError(f"a tracker is given twice: {' '.join(self.tracker)}")
        for name in self.tracker:
            TRACKERS[name]  # unknown ones raise

    def devices_of(self) -> dict[str, Any]:
        """Where and how all that this job is made of computes."""
        return {field.name: getattr(self, field.name) for field in fields(DeviceConfig)}
