"""A list of items under way: which are done, which wait, who does the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autola.working.attempt import Attempt, numbers, read_lease
from autola.working.items import Listed, epochs_of, read_list
from autola.working.lease import Lease
from autola.working.owners import Watch, mark_of
from outputs.records import RESULT

MOST_FAILURES = 3
"""Failures in a row after which an item is set aside."""

WAIT_SECONDS = 60.0
"""Time for which an item whose folder somebody else has locked is left alone."""

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
        dead: Mark of the lease of an owner who was found dead; None where that is not so.
    """

    name: str
    state: State
    attempt: Attempt | None
    number: int
    failures: int
    dead: int | None = None


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
        dead = mark_of(known[-1], content) if running else None
        return Seen(name, state, last, known[-1], failures, dead)

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

    def believe(self, dead: Mapping[str, int]) -> None:
        """Takes for dead the owners of items that another observer found so, by the marks of their leases."""
        self._watch.believe(dead)

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

    def awaits(self) -> bool:
        """Whether the folder of an item is locked, which is looked at again after a while."""
        return any(map(self._is_locked, self._locked))

    def _is_locked(self, name: str) -> bool:
        return time.monotonic() < self._locked.get(name, 0.0)


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
