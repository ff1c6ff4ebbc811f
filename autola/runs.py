"""Run folders: where new ones go."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import RetrainConfig, SearchConfig
from outputs.environment import environment
from outputs.run_directory import RunDirectory
from search_space.config import to_json

RUNS = Path("outputs/runs")


def new_run(
    config: SearchConfig | RetrainConfig,
    data: Mapping[str, Any],
    *,
    kind: str,
    seed: int,
    out: Path | None,
    fabric: Fabric,
) -> RunDirectory:
    """Makes a run folder, in the process that writes; the others get its path.

    Args:
        config: Stored as config.json: enough to run again.
        data: Stored as data.json: what has to be known of the images to build the network again.
        kind: Begins the folder's name, if `out` gives none.
        seed: Stored with the environment.
        out: The folder; None for a new one under ./outputs/runs.
        fabric: Device and processes.

    Raises:
        InputError: If the folder exists already.
    """
    path = Path(fabric.broadcast(str(out or _next(kind))))
    if not fabric.is_global_zero:
        fabric.barrier()
        return RunDirectory(path)
    run = RunDirectory.create(path, to_json(config), environment(fabric.device, seed), data)
    fabric.barrier()
    return run


def _next(kind: str) -> Path:
    """The first of kind-1, kind-2 ... under ./outputs/runs that is not taken."""
    return next(path for number in count(1) if not (path := RUNS / f"{kind}-{number}").exists())
