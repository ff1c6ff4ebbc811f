"""What a run depends on outside its folder: where that is, and whether it is what it was at the start."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from autola.advice_config import AdviceConfig
from autola.comparing.config import CompareConfig
from autola.configs import AnySearch, RetrainConfig, SearchConfig, TaskSearch
from evaluators.data.listing import PARTS, Listing, recorded
from evaluators.tasks import Setting
from evaluators.weight_sources import weights_file
from foundation.config import config, parse
from foundation.errors import InputError
from foundation.words import typed
from outputs.records import DATA
from outputs.run_directory import RunDirectory
from outputs.settings_record import check_settings, move_data

log = logging.getLogger(__name__)

C = TypeVar("C", SearchConfig, TaskSearch, RetrainConfig, CompareConfig)

COSTS = "costs"
"""Key in data.json of what operators cost, for the metrics that are limited."""

_ROOT = "root"
_FILES = ("weights", "detections", "training_service", "latency_table")
"""Settings that name a file or folder: always a root, the others where there is one of that name."""

_TOLERANCE = 1e-6
"""Relative difference of means and deviations that machines may make."""

_MOST_NAMED = 6


@config
class Part:
    """What data.json says of a part; see `Listing`."""

    counts: dict[str, int]
    digests: dict[str, str]


def absolute(config: Any) -> Any:
    """A config whose files and folders are named from the top, so that a run goes on from any folder."""
    changes = dict[str, Any]()
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            inner = absolute(value)
            if inner != value:
                changes[field.name] = inner
        elif isinstance(value, str | Path):
            path = Path(value).expanduser() if field.name == _ROOT else Path(value)
            if field.name == _ROOT or (field.name in _FILES and path.exists()):
                changes[field.name] = type(value)(path.absolute())
    return replace(config, **changes) if changes else config


def found_data(config: C, run: RunDirectory, root: str | None) -> C:
    """The config of a run that goes on, with the folder that its data are in now.

    Args:
        config: As the run has stored it.
        run: The run.
        root: The folder, where the user says that the data moved.

    Raises:
        InputError: If there is nothing, or the run reads no folder.
    """
    data: Any = config.data if isinstance(config, SearchConfig) else getattr(config.task, "data", None)
    known = getattr(data, _ROOT, None)
    if root is not None and known is None:
        raise InputError(f"{run.path} reads no folder of data, so none can have moved; leave out the root")
    if known is None:
        return config
    path = Path(known if root is None else root).expanduser()
    if not path.exists() and not getattr(data, "download", False):
        raise InputError(
            f"no data at {path}, which {run.path} goes on with; "
            f"if the folder moved, say where it is: --resume {typed(run.path)} --data.root FOLDER"
        )
    if root is None:
        return config
    moved = replace(data, root=str(path.absolute()))
    if isinstance(config, SearchConfig):
        return replace(config, data=moved)
    task: Any = config.task
    return replace(config, task=replace(task, data=moved))


def recorded_costs(config: AnySearch, run: RunDirectory) -> Any:
    """What operators cost, as a search with limits recorded it; None for one without.

    Raises:
        InputError: If it has limits and did not record them: others would be measured now.
    """
    return run.keys(DATA, COSTS)[COSTS] if config.target else None


def described(config: AdviceConfig | RetrainConfig | TaskSearch, setting: Setting) -> dict[str, Any]:
    """What a run records of the data of its task, and of the file of weights that it starts from.

    Raises:
        InputError: If there is no such file any more.
    """
    data, source = setting.describe(), config.task.weights
    file = None if source is None else weights_file(source)
    if file is not None:
        whole = hashlib.blake2b(digest_size=16)
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                whole.update(part)
        weights = Listing({}, {f"content of {file.name}": whole.hexdigest()})
        data |= {PARTS: {**data.get(PARTS, {}), **recorded({"weights": weights})[PARTS]}}
    return data


def check_data(
    run: RunDirectory,
    data: Mapping[str, Any],
    moved: SearchConfig | TaskSearch | RetrainConfig | CompareConfig | None = None,
) -> None:
    """Checks that a run goes on with the data and the settings that it began with.

    What the run did not record is not compared: version 0.1 recorded less.

    Args:
        run: The run.
        data: What is known of the data now, as data.json would hold it.
        moved: The config with another root, if the data moved; stored once they are found to be the same.

    Raises:
        InputError: If the data are others, or config.json was edited; names what changed.
    """
    check_settings(run)
    now = json.loads(json.dumps(data))
    then = run.keys(DATA)
    if PARTS in then:  # of which `_counts` takes the shape for granted
        parse(dict[str, Part], then[PARTS], f"{run.path / DATA}: {PARTS}")
    named = list(dict.fromkeys(_changes(then, now)))
    if named:
        more = f"; and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        raise InputError(
            f"the data of {run.path} changed: {'; '.join(named[:_MOST_NAMED])}{more}; "
            "put back what was there, or start a new run"
        )
    if moved is not None:
        if PARTS not in then:
            log.warning("%s did not record which files it read: those that moved are not compared", run.path)
        data_of: Any = moved.data if isinstance(moved, SearchConfig) else getattr(moved.task, "data", None)
        move_data(run, data_of.root)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Says what differs, the cause before what follows from it."""
    counted = [*_counts(then.get(PARTS), now.get(PARTS))]
    yield from counted
    rest = [key for key in then if key in now and key not in (PARTS, COSTS)]
    for key in rest:
        follows = bool(counted) and key in ("classes", "num_classes", "mean", "std", "vocabulary")
        if not follows and not _same(then[key], now[key]):
            yield f"{key.replace('_', ' ')}: {_short(now[key])} now, {_short(then[key])} when this run began"


def _counts(then: Any, now: Any) -> Iterator[str]:
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return
    if then.keys() != now.keys():
        yield f"parts: {', '.join(now)} now, {', '.join(then)} when this run began"
        return
    for part, before in then.items():
        where = "" if part in ("all", "weights") else f" in {part}"
        counts, others = before["counts"], now[part]["counts"]
        changed = [name for name in {**counts, **others} if counts.get(name, 0) != others.get(name, 0)]
        for name in changed:
            yield (f"{name}{where}: {others.get(name, 0)} now, {counts.get(name, 0)} when this run began")
        digests = before["digests"]
        for name, value in now[part]["digests"].items():
            if not changed and digests.get(name) != value:
                yield f"{name}{where}: others now than when this run began"


def _same(then: Any, now: Any) -> bool:
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_same, then, now))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return then == now


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
