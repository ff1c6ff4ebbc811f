"""Trackers: where the figures of runs are gathered beside their own records, one a file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from foundation.errors import InputError
from foundation.registry import Registry

NONE = "none"
"""What an option says where no tracker is wanted."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a tracker is given of a run before its figures.

    Attributes:
        experiment: Name under which runs are gathered: that of the folder that holds the run folder.
        name: Name of the run folder.
        folder: Folder in which the user keeps runs, for trackers that write files.
        settings: All settings of config.json; nested ones are joined by points (`searcher.epochs`).
        tags: The same of environment.json: versions, device, git revision; and the path of the run folder.
        id: What the tracker called the run when it began; None for a new one.
    """

    experiment: str
    name: str
    folder: Path
    settings: Mapping[str, str]
    tags: Mapping[str, str]
    id: str | None


class Tracker(Protocol):
    """One run at a tracker, begun or gone on with by the constructor; every function may raise anything."""

    package: ClassVar[str]
    """Name under which Python imports what the tracker needs; imported by `check_trackers` first."""
    install: ClassVar[str]
    """The command that installs it."""

    id: str
    """What the tracker calls the run: enough to find it again from another process."""

    def __init__(self, start: Start) -> None: ...

    @staticmethod
    def prepare() -> None:
        """Sets what the package looks at when it is imported; InputError where it cannot work as asked."""
        ...

    def steps(self, name: str) -> set[int]:
        """Steps at which the tracker has a figure of this name; asked before the first is logged."""
        ...

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds figures that the tracker does not have at this step."""
        ...

    def conclude(self, texts: Mapping[str, str]) -> None:
        """Marks the run as finished, with the answer's texts (a genotype); may be asked for twice."""
        ...

    def close(self) -> None:
        """Sends what waits to be sent; the run may go on later."""
        ...


TRACKERS: Registry[type[Tracker]] = Registry("tracker", "outputs.trackers")


def wanted(names: Iterable[str]) -> list[str]:
    """The trackers among the values of the option."""
    return [name for name in names if name != NONE]


def check_trackers(names: Iterable[str]) -> None:
    """Imports what trackers need, before anything is written.

    Args:
        names: Values of the option.

    Raises:
        InputError: If a package is missing or cannot be imported, or the surroundings are wrong.
    """
    for name in wanted(names):
        kind = TRACKERS[name]
        kind.prepare()
        try:
            importlib.import_module(kind.package)
        except ImportError as error:
            raise InputError(f"--tracker {name} needs {kind.package}: {kind.install} ({error})") from None
