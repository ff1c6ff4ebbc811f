"""What can be done here: versions, devices, optional packages, data, and what mends what is missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autola.installation import (
    Extra,
    Package,
    Problem,
    as_extra,
    as_package,
    computing,
    installed,
    misfit,
    requirements,
)
from evaluators.tasks import TASKS, knows_its_data
from foundation.cores import usable_cores
from foundation.errors import InputError

PYTHON = (3, 11)
"""The oldest Python that autola runs on."""

LEAST_SHARED = 1 << 30
"""Bytes of shared memory below which processes that read images ahead may be killed."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """A folder of data.

    Attributes:
        path: Where it is.
        runs: Run folders that read it; none for a folder that was named.
        serves: Task to what of it the task would train on.
        problems: Task to why it cannot.
    """

    path: str
    runs: tuple[str, ...]
    serves: dict[str, str]
    problems: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """Whether a task can be trained.

    Attributes:
        data: Folders that hold data for it, or its own data.
        problems: What it lacks.
        looked: Whether its data could be looked at; False for a task of the user's that has no `look`.
    """

    data: tuple[str, ...]
    problems: tuple[Problem, ...]
    looked: bool


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was looked at; `problems` concern every job, those of `tasks` one task each."""

    autola: str | None
    python: str
    platform: str
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    cores: int
    threads: int | None
    memory_bytes: int
    free_memory_bytes: int
    free_disk_bytes: int
    devices: tuple[str, ...]
    roots: tuple[Root, ...]
    tasks: dict[str, TaskState]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        return asdict(self)


def diagnose(folders: Sequence[Path] = (), runs: Path = Path("outputs/runs")) -> Diagnosis:
    """Looks at the installation, the machine and the data.

    Args:
        folders: Folders or tars of data.
        runs: Where run folders are: the data that they name are looked at as well.

    Raises:
        InputError: If a folder is not there.
    """
    import psutil

    required, optional = requirements()
    packages = tuple(map(as_package, required))
    problems = [misfit(each) for each in packages if not each.fits]
    threads, devices, broken, notes = computing()
    problems += broken
    if tuple(map(int, platform.python_version_tuple()[:2])) < PYTHON:
        problems.append(
            Problem(what=f"Python {platform.python_version()} is older than {PYTHON[0]}.{PYTHON[1]}")
        )
    extras = tuple(as_extra(name, wanted) for name, wanted in optional.items())
    roots = tuple(_roots(folders, runs))
    memory = psutil.virtual_memory()
    return Diagnosis(
        autola=installed("autola"),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=packages,
        extras=extras,
        cores=usable_cores(),
        threads=threads,
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
        free_disk_bytes=shutil.disk_usage(_there(runs)).free,
        devices=devices,
        roots=roots,
        tasks={name: _task_state(name, extras, roots) for name in TASKS},
        problems=tuple(problems),
        notes=(*notes, *_notes(runs)),
    )


def _there(path: Path) -> Path:
    """The path, or the nearest folder above that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _notes(runs: Path) -> list[str]:
    notes = list[str]()
    if not os.access(_there(runs), os.W_OK):
        notes.append(f"runs cannot be written to {runs.resolve()}; go to another folder, or give --out")
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < LEAST_SHARED:
        notes.append(
            f"{free / 2**20:.0f} MiB of shared memory: processes that read images ahead may be killed; "
            "give --workers 0, or a container more (docker run --shm-size 8g)"
        )
    return notes


def _roots(folders: Sequence[Path], runs: Path) -> Iterator[Root]:
    """The folders that were named, then those that runs read."""
    for folder in folders:
        if not folder.exists():
            raise InputError(f"no data at {folder}; name folders or tars that are there")
    for folder in folders:
        yield _root(folder, ())
    named = {str(folder.resolve()) for folder in folders}
    for path, users in sorted(_recorded(runs).items()):
        if path not in named:
            yield _root(Path(path), tuple(users))


def _root(folder: Path, runs: tuple[str, ...]) -> Root:
    serves, problems = dict[str, str](), dict[str, str]()
    for name, kind in TASKS.items():
        if not knows_its_data(kind):
            continue
        try:
            if not folder.exists():
                raise InputError("nothing is there any more")
            serves[name] = kind.look(folder.expanduser())
        except InputError as error:
            problems[name] = str(error)
        except OSError as error:
            problems[name] = f"cannot be read: {error.strerror}"
    return Root(path=str(folder), runs=runs, serves=serves, problems=problems)


def _recorded(runs: Path) -> dict[str, list[str]]:
    """Roots of data that the configs of run folders name, with the runs."""
    found = dict[str, list[str]]()
    for path in sorted(runs.glob("*/config.json")):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            root = (config.get("data") or config["task"]["data"])["root"]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # a damaged run is no matter of the installation
        if isinstance(root, str):
            found.setdefault(root, []).append(path.parent.name)
    return found


def _task_state(name: str, extras: Sequence[Extra], roots: Sequence[Root]) -> TaskState:
    kind = TASKS[name]
    problems = [
        Problem(what=f"no {each.use}", mends=each.mends)
        for each in extras
        if each.name == kind.extra and each.mends
    ]
    data = tuple(root.path for root in roots if name in root.serves)
    if not data and kind.own_data:
        data = (kind.own_data,)
    looked = bool(data) or knows_its_data(kind)
    if looked and not data:
        problems.append(Problem(what="no data that it reads was named", mends="autola doctor FOLDER"))
    return TaskState(data=data, problems=tuple(problems), looked=looked)
