"""A list of items: folders that say all that is to be done, done or not, and who does them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autola.working.lease import FORMAT, WORK, Attempt, Lease, Watch, check_format, numbers, read_lease
from foundation.config import config, loads, parse, read_text, to_json
from foundation.errors import InputError
from foundation.files import write_text
from outputs.records import METRICS, RESULT
from search_space.genotype import Genotype

ITEM, LIST = "item.json", "work.json"
"""Records: in an item's folder `work`, what it is; in the run's, what all items have in common."""

MOST_FAILURES = 3
"""Failures in a row after which an item is set aside."""

WAIT_SECONDS = 60.0
"""Time for which an item whose folder somebody else has locked is left alone."""


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
    modules: tuple[str, ...] = ()
    """Modules of the user's that workers import."""
    versions: dict[str, str]
    """Versions of what decides the numbers, in the process that made the list."""
    processor: str
    """Instructions that it computes by, or its GPU."""


State = Literal["done", "running", "waiting", "aside"]


@dataclass(frozen=True)
class Seen:
    """How an item stands.

    Attributes:
        name: Its folder.
        state: done, running, waiting (for anyone), or set aside after failures.
        attempt: The last lease; None without one, or while it is being written.
        number: Number of that lease; -1 without one.
        failures: Failures in a row.
    """

    name: str
    state: State
    attempt: Attempt | None
    number: int
    failures: int


class WorkList:
    """The items of a run.

    Args:
        whole: Folder of the run.
        listed: What its list says; read if left out.
        watch: Who sees which owners live.

    Raises:
        InputError: If the run has no list, or that is of a newer autola.
    """

    def __init__(self, whole: Path, listed: Listed | None = None, watch: Watch | None = None) -> None:
        self.whole = whole
        self.listed = read_list(whole) if listed is None else listed
        self.names = self.listed.items
        self._watch = watch or Watch()
        self._done, self._news = set[str](), list[str]()
        self._locked = dict[str, float]()

    def seen(self, name: str) -> Seen:
        """How an item stands now."""
        folder = self.whole / name
        if name in self._done:
            return Seen(name, "done", None, -1, 0)
        if (folder / RESULT).exists():
            self._done.add(name)
            self._news.append(name)
            return Seen(name, "done", None, -1, 0)
        known = numbers(folder)
        if not known:
            return Seen(name, "waiting", None, -1, 0)
        content, last = read_lease(folder, known[-1])
        if last is not None and last.state == "done":  # and its result was deleted since
            return Seen(name, "waiting", last, known[-1], 0)
        running = last is None or last.state == "running"
        if running and not self._watch.dead(folder, known[-1], content, last):
            return Seen(name, "running", last, known[-1], 0)
        failures = _failures(folder, known)
        state: State = "aside" if failures >= MOST_FAILURES else "waiting"
        return Seen(name, state, last, known[-1], failures)

    def all(self) -> Iterator[Seen]:
        """All items."""
        return map(self.seen, self.names)

    def open(self, untouched: int | None = None) -> Iterator[Seen]:
        """The items that are not done, in their order.

        Args:
            untouched: Items that nobody has taken up yet after which to stop looking; None for all.
        """
        for name in self.names:
            if name in self._done or (seen := self.seen(name)).state == "done":
                continue
            yield seen
            if untouched is not None and seen.number < 0:
                untouched -= 1
                if untouched < 0:
                    return

    @property
    def done(self) -> int:
        """Items that were seen to be done."""
        return len(self._done)

    def news(self) -> list[str]:
        """Items that were seen to be done since this was last asked."""
        news, self._news = self._news, []
        return news

    def take(self, *, driver: str = "", skip: int = 0) -> Lease | None:
        """Takes up the first item that waits, one that has not failed yet before one that has.

        Args:
            driver: For whom.
            skip: Items to leave to others that begin at the same time, where there are enough.

        Returns:
            The lease; None if nothing waits.
        """
        again, left = list[Seen](), list[Seen]()
        for seen in self.open():
            if seen.state != "waiting" or self._is_locked(seen.name):
                continue
            if seen.failures:
                again.append(seen)
            elif len(left) < skip:
                left.append(seen)
            elif (lease := self._take(seen, driver)) is not None:
                return lease
        takes = (self._take(seen, driver) for seen in (*left, *again))
        return next((lease for lease in takes if lease is not None), None)

    def locked(self, name: str) -> None:
        """Leaves an item alone for a while: another process has its folder."""
        self._locked[name] = time.monotonic() + WAIT_SECONDS

    def forgive(self) -> None:
        """Gives items that were set aside their chances again."""
        for seen in self.open():
            if seen.state == "aside":
                lease = Lease.take(self.whole / seen.name, seen.number + 1)
                if lease is not None:
                    lease.end("forgiven")

    def _take(self, seen: Seen, driver: str) -> Lease | None:
        folder = self.whole / seen.name
        lease = Lease.take(folder, seen.number + 1, driver=driver, began=epochs_of(folder))
        if lease is not None and (folder / RESULT).exists():  # it ended between the two looks
            lease.end("released")
            return None
        return lease

    def _is_locked(self, name: str) -> bool:
        return time.monotonic() < self._locked.get(name, 0.0)


def read_list(whole: Path) -> Listed:
    """The list of a run.

    Raises:
        InputError: If it has none, or one of a newer autola.
    """
    path = whole / LIST
    if not path.is_file():
        raise InputError(f"{whole} has no list of work; autola retrain, compare and search make one")
    keys = loads(read_text(path, "list of work"))
    check_format(keys, path)
    return parse(Listed, keys, str(path))


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
    """Writes the list of a run, all items of which are there."""
    write_text(whole / LIST, to_json(listed))


def epochs_of(folder: Path) -> int:
    """Epochs that are recorded, as the log's lines."""
    with suppress(FileNotFoundError):
        return (folder / METRICS).read_bytes().count(b"\n")
    return 0


def _failures(folder: Path, known: Sequence[int]) -> int:
    """Failures in a row: errors, and ends without a word before an epoch more was complete."""
    failures = 0
    for number in known:
        _, attempt = read_lease(folder, number)
        if attempt is None:
            continue
        died = attempt.state == "running" and attempt.epoch == attempt.began
        if attempt.state == "forgiven":
            failures = 0
        elif attempt.state == "unfit":
            failures = MOST_FAILURES
        elif attempt.state == "failed" or died:
            failures += 1
    return failures


def is_item(folder: Path) -> bool:
    """Whether a folder is an item."""
    return os.path.isfile(folder / WORK / ITEM)
