"""Leases: who does an item, without a server and without comparing clocks.

Each attempt at an item is a file `work/lease-N.json` of its own, N counting from 0; the highest one holds.
To take an item up, by rights or from a dead owner, is to make the next file, which the disk (NFS too) lets
one process do alone (O_EXCL). Only its owner writes to it afterwards, in place and in bytes that are already
there, so that a full disk stops no heart. None is ever deleted: what is left is the history of the item.

An owner is dead when its lease stays the same for `LEASE_SECONDS` of the observer's own clock, or at once if
it was a process of this machine that has ended.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Literal

from foundation.config import config, parse
from foundation.errors import InputError
from foundation.files import no_space, out_of_space

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of what stands in the folder `work`; a newer one is not touched."""

LEASE_SECONDS = 60.0
"""Time without a heartbeat after which an owner counts as dead."""

BEATS = 6
"""Heartbeats in that time."""

WORK, LOG = "work", "log.txt"
"""In the folder of an item: what concerns who does it; what its workers said."""

_NAME = re.compile(r"lease-(\d{1,6})\.json")
_BYTES = 1024

End = Literal["done", "failed", "unfit", "released", "forgiven"]


@config
class Attempt:
    """What a lease says."""

    format: int = FORMAT
    """Version."""
    owner: str
    """Host, process and a random number."""
    host: str
    """Name of the machine."""
    process: int
    """Number of the process there."""
    machine: str
    """What its processes can be looked up by; "" where that is not known."""
    started: str
    """When the process started, in the machine's own count."""
    driver: str
    """Random name of the driver that the owner works for; "" for none."""
    since: float
    """Seconds since 1970 by the owner's clock: shown, never compared."""
    beat: int = 0
    """Heartbeats so far."""
    state: Literal["running", "done", "failed", "unfit", "released", "forgiven"] = "running"
    """Whether it runs, or how it ended; unfit is not tried again, forgiven ends the count of failures."""
    began: int = 0
    """Epochs that were complete at its start."""
    epoch: int = 0
    """Epochs that are complete."""
    threads: int = 0
    """Threads that it computes with; 0 while that is not known."""
    processor: str = ""
    """Instructions that it computes by, as torch names them, or the GPU."""
    why: str = ""
    """Why it failed."""


class LostError(InputError):
    """Another process has taken over the item meanwhile."""


def numbers(folder: Path) -> list[int]:
    """Numbers of the leases of an item, from the first."""
    found = list[int]()
    with suppress(FileNotFoundError), os.scandir(folder / WORK) as entries:
        found = [int(match[1]) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    return sorted(found)


def read_lease(folder: Path, number: int) -> tuple[bytes, Attempt | None]:
    """A lease as it is, and what it says; None while it is being written.

    Raises:
        InputError: If a newer version of autola wrote it.
    """
    path = _path(folder, number)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b"", None
    try:
        keys = json.loads(content)
    except ValueError:
        return content, None
    check_format(keys, path)
    try:
        return content, parse(Attempt, keys, str(path))
    except InputError:
        return content, None


def check_format(keys: object, path: Path) -> None:
    """Refuses what a newer version of autola wrote.

    Raises:
        InputError: If that is so.
    """
    found = keys.get("format") if isinstance(keys, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"{path} is of a newer autola (format {found}, and this one knows {FORMAT}): install that here"
        )


class Watch:
    """Sees which owners live: remembers what leases said, and when by this process's clock they changed.

    Args:
        seconds: Time without a change after which an owner counts as dead.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = LEASE_SECONDS if seconds is None else seconds
        self._seen: dict[Path, tuple[bytes, float]] = {}

    def dead(self, folder: Path, number: int, content: bytes, attempt: Attempt | None) -> bool:
        """Whether the owner of a lease that runs is dead."""
        if attempt is not None and _gone(attempt):
            return True
        path, now = _path(folder, number), time.monotonic()
        known = self._seen.get(path)
        if known is None or known[0] != content:
            self._seen[path] = content, now
            return False
        return now - known[1] >= self._seconds


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
        path = _path(folder, number)
        attempt = Attempt(
            owner=f"{platform.node()}:{os.getpid()}:{token_hex(4)}",
            host=platform.node(),
            process=os.getpid(),
            machine=_machine(),
            started=_start_of(os.getpid()),
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
        except OSError as error:  # it stays, empty, and counts as dead after a while: numbers have no gaps
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
        if _path(self.folder, self.number + 1).exists():
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
        with suppress(OSError), _path(self.folder, self.number).open("r+b") as file:
            file.write(_content(self.attempt))


def _path(folder: Path, number: int) -> Path:
    return folder / WORK / f"lease-{number}.json"


def _content(attempt: Attempt) -> bytes:
    """A lease in at least so many bytes: what it says later needs no space that may not be there."""
    keys = {name: getattr(attempt, name) for name in attempt.__dataclass_fields__}
    return json.dumps(keys).encode().ljust(_BYTES - 1) + b"\n"


@cache
def _machine() -> str:
    """This boot of this machine, and the container in it whose processes have numbers of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start_of(process: int) -> str:
    """When a process of this machine started, which no change of the clock moves; "" if it has ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if words[0] in "ZX" else words[19]


def _gone(attempt: Attempt) -> bool:
    """Whether an owner is known to have ended: it was a process of this machine."""
    same = bool(attempt.machine) and attempt.machine == _machine()
    return same and attempt.started != _start_of(attempt.process)
