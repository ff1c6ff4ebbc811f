"""Where a run ran: versions, device, revision."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("autola", "torch", "torchvision", "lightning", "timm", "numpy", "safetensors")


def environment(device: torch.device, seed: int) -> dict[str, Any]:
    """What else than the config decides a run's numbers.

    Args:
        device: Where it runs.
        seed: Seed of the run.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {package: _version(package) for package in PACKAGES},
        "device": str(device),
        "device_name": name or platform.machine(),
        "num_threads": torch.get_num_threads(),
        "git_revision": _git_revision(),
        "seed": seed,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _git_revision() -> str | None:
    """Revision of the source tree that autola runs from; None where it is installed as a wheel."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
