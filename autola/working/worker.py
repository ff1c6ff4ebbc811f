"""A worker: takes up items of a list, one after another, until none waits."""

from __future__ import annotations

import logging
import platform
import sys
import time
import traceback
from contextlib import nullcontext
from dataclasses import field
from pathlib import Path

import torch

from autola.cli import import_modules
from autola.runs import UnfitError
from autola.stopping import asked, polite
from autola.working.doing import Doer, NotHereError
from autola.working.item_log import logged, note
from autola.working.items import LIST, Listed
from autola.working.lease import Lease, LostError
from autola.working.making import processor, versions
from autola.working.owners import Watch
from autola.working.worklist import WorkList
from foundation.config import config, parse_json
from foundation.errors import InputError, NoSpaceError, listed
from outputs.run_directory import LockedError

log = logging.getLogger(__name__)

SPACE_SECONDS = 5.0
"""Time between two looks at whether a full disk has space again."""


LOCK_SECONDS = 5.0
"""Time between two looks at a list of which all that waits is locked."""


@config
class Task:
    """What a worker is to do."""

    whole: str
    """Path of the run."""
    driver: str = ""
    """Random name of the driver that started it, after its host and process."""
    seconds: float | None = None
    """Nothing begins after so many; None for no limit."""
    skip: int = 0
    """Items to leave to the workers that start at the same time."""
    dead: dict[str, int] = field(default_factory=dict)
    """Items whose owners the driver found dead, and the marks of their leases."""


def main(text: str) -> str:
    """Does what a task says.

    Args:
        text: A `Task` as JSON.

    Returns:
        Why this machine cannot do it, in a line; "" if it could.
    """
    task = parse_json(Task, text, "task")
    try:
        worklist = WorkList(_visible(Path(task.whole)), watch=Watch(known=task.dead))
        import_modules(worklist.listed.modules)
        check_here(worklist.listed)
        until = time.monotonic() + task.seconds if task.seconds is not None else None
        with polite():
            work(worklist, Doer(), driver=task.driver, until=until, skip=task.skip)
    except KeyboardInterrupt:
        return ""
    except InputError as error:
        return f"{_elsewhere(task.driver)}{error}"
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return f"{_elsewhere(task.driver)}{error.strerror or error}{where}"
    return ""


def work(
    worklist: WorkList, doer: Doer, *, driver: str = "", until: float | None = None, skip: int = 0
) -> None:
    """Takes up items until none waits, somebody asks to stop, or time is over.

    Raises:
        NotHereError: If this machine cannot do them.
        KeyboardInterrupt: If somebody asked to stop.
    """
    while until is None or time.monotonic() < until:
        if asked():
            raise KeyboardInterrupt
        try:
            lease = worklist.take(driver=driver, skip=skip)
            skip = 0
            if lease is None:
                if not worklist.awaits():
                    return
                _wait(LOCK_SECONDS)  # else the driver would start workers that find it locked, one by one
                continue
            carry_out(lease, doer, worklist)
        except NoSpaceError as error:
            sys.stderr.write(f"{error} (a worker waits for that)\n")
            _wait(SPACE_SECONDS)


def carry_out(lease: Lease, doer: Doer, worklist: WorkList, *, here: bool = False) -> None:
    """Does an item that was taken up, and says in its lease how that ended.

    Args:
        lease: Of the item.
        doer: What does it.
        worklist: Its list.
        here: Whether the user sits before this process: what is no fault of the item is raised, and the log
            goes to the terminal.

    Raises:
        NoSpaceError: If the disk is full: the item waits.
        NotHereError: If this machine cannot do it.
    """
    folder = lease.folder

    def reached(record: dict[str, object]) -> None:
        epoch, fabric = record.get("epoch"), doer.fabric
        if isinstance(epoch, int) and fabric is not None:
            lease.reached(epoch, torch.get_num_threads(), processor(fabric.device))

    with lease.kept(), nullcontext() if here else logged(folder):
        try:
            doer.do(folder, reached)
        except LostError as error:
            log.warning("%s", error)
        except LockedError:
            lease.end("released")
            worklist.locked(folder.name)
            if here:
                raise
        except (NoSpaceError, NotHereError):
            lease.end("released")
            raise
        except UnfitError as error:
            lease.end("released" if here else "unfit", "" if here else str(error))
            if here:
                raise
            log.warning("%s: %s", folder.name, error)
        except InputError as error:
            log.warning("%s failed: %s", folder.name, error)
            lease.end("failed", str(error))
        except Exception as error:
            lease.end("failed", f"{type(error).__name__}: {error}")
            if here:
                raise
            note(folder, traceback.format_exc())
            log.warning("%s failed: %s: %s", folder.name, type(error).__name__, error)
        except BaseException:
            lease.end("released")
            raise
        else:
            lease.end("done")


def check_here(known: Listed) -> None:
    """Refuses a machine with other versions, and says where its processor may give other last bits.

    Raises:
        NotHereError: If autola, torch or torchvision is of another version than where the list was made.
    """
    ours = versions()
    others = [
        f"{name} {ours.get(name)}, not {version}"
        for name, version in known.versions.items()
        if ours.get(name) != version
    ]
    if others:
        raise NotHereError(f"{listed(others)}: give all machines the versions with which the run was started")
    here = processor(torch.device("cpu"))
    if known.processor != here and not torch.cuda.is_available():
        sys.stderr.write(
            f"{platform.node()} computes by {here}, and {known.command} began on {known.processor}: the last "
            "bits may differ\n"
        )


def _visible(whole: Path) -> Path:
    if not (whole / LIST).is_file():
        raise NotHereError(
            f"{whole} is not there, or has no {LIST}; put it on a disk that all machines see under one name"
        )
    return whole


def _elsewhere(driver: str) -> str:
    """Names this machine, where the driver is on another."""
    return "" if driver.partition(":")[0] == platform.node() else f"on {platform.node()}: "


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not asked():
        time.sleep(0.1)
