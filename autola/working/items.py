"""What items and their list say, as files: all that is to be done, told apart from who does it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from autola.working.attempt import FORMAT, WORK, check_format
from foundation.config import config, loads, parse, read_text, to_json
from foundation.errors import InputError, listed
from foundation.files import write_text
from foundation.words import typed
from outputs.records import CONFIG, METRICS
from search_space.genotype import Genotype

ITEM, LIST = "item.json", "work.json"
"""Records: in an item's folder `work`, what it is; in the run's, what all items have in common."""


@config
class Item:
    """What an item is beside the records of its run folder: config, data, environment."""

    format: int = FORMAT
    """Version."""
    modules: tuple[str, ...] = ()
    """Modules of the user's that whoever does it imports first."""
    judged: tuple[Genotype, ...] | None = None
    """Cells that a search of a comparison judges at its end; None for a search of a front."""
    trial: int | None = None
    """Number of the trial of a search, from 0; None for an item that is no trial."""
    candidate: str = ""
    """What the trial judges, as JSON."""


@config
class Listed:
    """What is the same for all items, and their order."""

    format: int = FORMAT
    """Version."""
    command: str
    """The command that makes and concludes the list."""
    items: tuple[str, ...]
    """Folders, in the order in which they are worth having."""
    epochs: int
    """Epochs of each, as far as that is the same."""
    more: int = 0
    """Items that are only known once these are done: later trials of a search."""
    modules: tuple[str, ...] = ()
    """Modules of the user's that workers import."""
    versions: dict[str, str]
    """Versions of what decides the numbers, in the process that made the list."""
    processor: str
    """Instructions that it computes by, or its GPU."""


def read_list(whole: Path) -> Listed:
    """The list of a run.

    Raises:
        InputError: If it has none, or one of a newer autola.
    """
    path = whole / LIST
    if not path.is_file():
        if not whole.is_dir():
            raise InputError(
                f"{whole} is {'no folder' if whole.exists() else 'not there'}; name that of a run"
            )
        if is_item(whole):
            raise InputError(f"{whole} is one item of a list; name the run: {whole.absolute().parent}")
        if (whole / METRICS).is_file():
            raise InputError(
                f"{whole} is one job, without a list of work; "
                f"autola report {typed(whole)} shows how far it is"
            )
        if command := _going_on(whole):
            raise InputError(f"{whole} was stopped before its list of work was made; {command} goes on")
        if inside := [each.parent.name for each in sorted(whole.glob(f"*/{CONFIG}"))]:
            raise InputError(f"{whole} has no list of work; name one of the runs in it: {listed(inside)}")
        raise InputError(f"{whole} has no list of work; autola retrain, compare and search make one")
    keys = loads(read_text(path, "list of work"))
    check_format(keys, path)
    return parse(Listed, keys, str(path))


def _going_on(whole: Path) -> str:
    """The command that goes on with a run of several items; "" where the folder is none."""
    from autola.runs import going_on  # slow, and seldom needed
    from outputs.run_directory import RunDirectory

    with suppress(InputError):
        return going_on(RunDirectory.open(whole))
    return ""


def read_item(folder: Path) -> Item:
    """What an item is.

    Raises:
        InputError: If the folder is none, or one of a newer autola.
    """
    path = folder / WORK / ITEM
    if not path.is_file():
        raise InputError(f"{folder} is no item of work: it has no {WORK}/{ITEM}")
    keys = loads(read_text(path, "item of work"))
    check_format(keys, path)
    return parse(Item, keys, str(path))


def write_item(folder: Path, item: Item) -> None:
    """Makes a run folder an item, if it is none yet."""
    path = folder / WORK / ITEM
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_text(path, to_json(item))


def write_list(whole: Path, listed: Listed) -> None:
    """Writes the list of a run, all items of which are there.

    Raises:
        InputError: If a newer autola wrote the one that is there.
    """
    path = whole / LIST
    if path.is_file():
        try:
            keys = json.loads(path.read_bytes())
        except ValueError:
            keys = None  # it was cut short, and is replaced
        check_format(keys, path)
    write_text(path, to_json(listed))


def epochs_of(folder: Path) -> int:
    """Epochs that are recorded, as the log's lines."""
    with suppress(FileNotFoundError):
        return (folder / METRICS).read_bytes().count(b"\n")
    return 0


def is_item(folder: Path) -> bool:
    """Whether a folder is an item."""
    return os.path.isfile(folder / WORK / ITEM)
