"""Run folders: where new ones go, and how a stopped one goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autola.advice_config import AdviceConfig
from autola.comparing.config import CompareConfig
from autola.configs import AnySearch, RetrainConfig, SearchConfig, TaskSearch
from foundation.config import parse_json, to_json
from foundation.errors import InputError, NoSpaceError
from foundation.words import typed
from outputs.new_folder import numbered
from outputs.records import CONFIG
from outputs.run_directory import RunDirectory

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.job import Job
    from outputs.tracking import Tracking

log = logging.getLogger(__name__)

C = TypeVar("C", SearchConfig, TaskSearch, RetrainConfig, CompareConfig, AdviceConfig)

RUNS = Path("outputs/runs")


def new_run(
    config: AdviceConfig | AnySearch | RetrainConfig | CompareConfig,
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
    from autola.runtime import in_first  # slow: Fabric, which whoever looks at a run does without
    from outputs.environment import environment

    known = environment(fabric.device, seed)

    def make(path: Path) -> RunDirectory:
        return RunDirectory.create(path, to_json(config), known, data)

    run = in_first(fabric, lambda: make(out) if out else numbered(RUNS / kind, make))
    path = Path(fabric.broadcast(str(run.path if run else "")))
    return run or RunDirectory(path)


def stored_config(run: RunDirectory, kind: type[C]) -> C:
    """The config of a run.

    Raises:
        InputError: If the run is of another kind, or its config is damaged.
    """
    names: dict[type, str] = {
        SearchConfig: "search",
        TaskSearch: "search in the network of a task",
        RetrainConfig: "retraining",
        CompareConfig: "comparison",
        AdviceConfig: "folder of advice",
    }
    theirs = _kind(run)
    if theirs is not None and theirs is not kind:
        name = names[theirs]
        look = (
            "autola inspect, autola search --resume"
            if issubclass(theirs, AnySearch)
            else f"autola {_COMMANDS[theirs]}"
        )
        raise InputError(f"{run.path} is a {name}, not a {names[kind]} ({look})")
    return parse_json(kind, run.text(CONFIG), str(run.path / CONFIG))


def stored_search(run: RunDirectory) -> SearchConfig | TaskSearch:
    """The config of a search, of cells or placements.

    Raises:
        InputError: If the run is no search, or its config is damaged.
    """
    if _kind(run) is TaskSearch:
        return stored_config(run, TaskSearch)
    return stored_config(run, SearchConfig)


_COMMANDS = {
    RetrainConfig: "retrain --resume",
    CompareConfig: "compare --resume",
    AdviceConfig: "advise --out",
}


def going_on(run: RunDirectory) -> str:
    """The command that goes on with a run; "" for advice, which is several.

    Raises:
        InputError: If its config is damaged.
    """
    kind = _kind(run)
    if kind is None or kind is AdviceConfig:
        return ""
    command = "search --resume" if issubclass(kind, AnySearch) else _COMMANDS[kind]
    return f"autola {command} {typed(run.path)}"


def _kind(run: RunDirectory) -> type | None:
    """The kind of a run's config, by what only that has; None for none of them.

    Raises:
        InputError: If its config is damaged.
    """
    keys = run.json(CONFIG)
    if not isinstance(keys, dict):
        raise InputError(f"{run.path / CONFIG} holds no settings")
    if "searcher" in keys:
        return TaskSearch if "task" in keys else SearchConfig
    known = {"control_seeds": CompareConfig, "primitives": AdviceConfig, "train": RetrainConfig}
    return next((kind for key, kind in known.items() if key in keys), None)


def is_search(run: RunDirectory) -> bool:
    """Whether a run is a search.

    Raises:
        InputError: If its config is damaged.
    """
    return _kind(run) in (SearchConfig, TaskSearch)


def is_comparison(run: RunDirectory) -> bool:
    """Whether a run is a comparison.

    Raises:
        InputError: If its config is damaged.
    """
    return _kind(run) is CompareConfig


def refuse_twice(runs: Iterable[Path]) -> None:
    """Raises an InputError where a run is named twice, however its path is written."""
    seen = set[Path]()
    for run in runs:
        if run.resolve() in seen:
            raise InputError(f"{run} is named twice")
        seen.add(run.resolve())


def go_on(job: Job, run: RunDirectory, name: str) -> None:
    """Takes a job to where the newest checkpoint of its run left it.

    Raises:
        InputError: If the checkpoint is of another job, or carries code.
    """
    state = run.load_checkpoint()
    if state is None:
        return
    try:
        job.load_state_dict(state)
    except Exception:  # whatever a job and torch raise at a state that is not theirs
        raise InputError(
            f"the checkpoint of {run.path} does not fit its {CONFIG}; was that edited? start again"
        ) from None
    if not 0 < job.step <= job.total_steps:
        raise InputError(
            f"the checkpoint of {run.path} is of step {job.step}, and the job has {job.total_steps}; "
            "start again"
        )
    log.info("%s: going on at step %d of %d", name, job.step, job.total_steps)


class UnfitError(InputError):
    """Records or data of a part of a run do not fit it: trying again would not help."""


@contextmanager
def fitting() -> Iterator[None]:
    """Has what the user gave wrong known for what does not get right by itself.

    Raises:
        UnfitError: In the place of other errors of the user's.
    """
    try:
        yield
    except NoSpaceError:
        raise
    except InputError as error:
        raise UnfitError(str(error)) from None


@contextmanager
def tracked(run: RunDirectory, trackers: Iterable[str], fabric: Fabric) -> Iterator[Tracking]:
    """Follows a run, locked by this process, by its trackers; in processes that do not write, by none.

    Raises:
        InputError: If the disk is full, or metrics.jsonl is damaged.
    """
    # Each import is slow: Fabric.
    from autola.runtime import in_first
    from outputs.tracking import Tracking

    tracking = in_first(fabric, lambda: Tracking(run, trackers)) or Tracking(run, ())
    try:
        yield tracking
    finally:
        tracking.close()
