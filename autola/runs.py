"""Run folders: where new ones go, and what an old one is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autola.configs import RetrainConfig, SearchConfig
from outputs.environment import environment
from outputs.run_directory import CONFIG, RunDirectory
from search_space.config import parse_json, to_json
from search_space.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

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


def search_config(run: RunDirectory) -> SearchConfig:
    """The config of a search.

    Raises:
        InputError: If the run is a retraining, or its config is damaged.
    """
    if not is_search(run):
        raise InputError(f"{run.path} is a retraining; go on with it by autola retrain --resume")
    return parse_json(SearchConfig, run.text(CONFIG), str(run.path / CONFIG))


def retrain_config(run: RunDirectory) -> RetrainConfig:
    """The config of a retraining.

    Raises:
        InputError: If the run is a search, or its config is damaged.
    """
    if is_search(run):
        raise InputError(f"{run.path} is a search; go on with it by autola search --resume")
    return parse_json(RetrainConfig, run.text(CONFIG), str(run.path / CONFIG))


def is_search(run: RunDirectory) -> bool:
    """Whether a run is a search; a retraining otherwise."""
    config = run.json(CONFIG)
    return isinstance(config, dict) and "searcher" in config


def _next(kind: str) -> Path:
    """The first of kind-1, kind-2 ... under ./outputs/runs that is not taken."""
    return next(path for number in count(1) if not (path := RUNS / f"{kind}-{number}").exists())
