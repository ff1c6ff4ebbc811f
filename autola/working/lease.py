"""Leases: who does an item, without a server and without comparing clocks.

Each attempt at an item is a file `work/lease-N.json` of its own, N counting from 0; the highest one holds.
To take an item up, by rights or from a dead owner, is to make the next file, which the disk (NFS too) lets
one process do alone (O_EXCL). Only its owner writes to it afterwards, in place and in bytes that are already
there, so that a full disk stops no heart. None is deleted but by who could not write it: what is left is the
history of the item.

An owner is dead when its lease stays the same for `LEASE_SECONDS` of the observer's own clock, or at once if
it was a process of this machine that has ended.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread

from autola.working.attempt import Attempt, End, lease_path
from autola.working.owners import LEASE_SECONDS, machine, start_of
from foundation.errors import InputError
from foundation.files import no_space, out_of_space

log = logging.getLogger(__name__)

BEATS = 6
"""Heartbeats in the time after which an owner counts as dead."""

_BYTES = 1024


class LostError(InputError):
    """Another process has taken over the item meanwhile."""


class Lease:
    """An item that this process does.

    Args:
        folder: Its folder.
        number: Number of the lease.
        attempt: What it says.

    Attributes:
        lost: Set once another process has taken the item over.
    """

    def __init__(self, folder: Path, number: int, attempt: Attempt) -> None:
        self.folder, self.number, self.attempt = folder, number, attempt
        self.lost = Event()
        self._lock = Lock()

    @classmethod
    def take(cls, folder: Path, number: int, *, driver: str = "", began: int = 0) -> Lease | None:
        """Takes an item up under the next number; None if another process was first.

        Raises:
            NoSpaceError: If the disk is full.
            OSError: If the folder cannot be written to.
        """
        path = lease_path(folder, number)
        attempt = Attempt(
            owner=f"{platform.node()}:{os.getpid()}:{token_hex(4)}",
            host=platform.node(),
            process=os.getpid(),
            machine=machine(),
            started=start_of(os.getpid()),
            driver=driver,
            since=time.time(),
            began=began,
            epoch=began,
        )
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        except OSError as error:
            if out_of_space(error):
                raise no_space(path) from None
            raise
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_content(attempt))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # one that stays, empty, counts as dead after a while
                path.unlink()
            if out_of_space(error):
                raise no_space(path) from None
            raise
        return cls(folder, number, attempt)

    def reached(self, epoch: int, threads: int, processor: str) -> None:
        """Says that an epoch is complete, and what computed it.

        Raises:
            LostError: If another process has taken the item over.
        """
        with self._lock:
            self.attempt = replace(self.attempt, epoch=epoch, threads=threads, processor=processor)
        self.beat()

    def beat(self) -> None:
        """Says that the owner lives.

        Raises:
            LostError: If another process has taken the item over.
        """
        if lease_path(self.folder, self.number + 1).exists():
            self.lost.set()
            raise LostError(f"{self.folder.name} was taken over by another process, which goes on with it")
        with self._lock:
            self.attempt = replace(self.attempt, beat=self.attempt.beat + 1)
            self._write()

    def end(self, state: End, why: str = "") -> None:
        """Gives the item up, for good or for others to take."""
        with self._lock:
            self.attempt = replace(self.attempt, state=state, why=" ".join(why.split())[:500])
            self._write()

    @contextmanager
    def kept(self) -> Iterator[Lease]:
        """Has the heart beat from a thread."""
        over = Event()

        def live() -> None:
            while not over.wait(LEASE_SECONDS / BEATS):
                try:
                    self.beat()
                except LostError as error:
                    log.warning("%s", error)
                    return

        thread = Thread(target=live, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _write(self) -> None:
        with suppress(OSError), lease_path(self.folder, self.number).open("r+b") as file:
            file.write(_content(self.attempt))


def _content(attempt: Attempt) -> bytes:
    """A lease in at least so many bytes: what it says later needs no space that may not be there."""
    keys = {name: getattr(attempt, name) for name in attempt.__dataclass_fields__}
    return json.dumps(keys).encode().ljust(_BYTES - 1) + b"\n"
