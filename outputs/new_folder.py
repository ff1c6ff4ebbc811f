"""New folders of a run: whole or not there, and nothing left of those that were being made."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from foundation.errors import InputError, NoSpaceError

T = TypeVar("T")

_UNBORN = re.compile(r"\.(?P<name>.+?)\.((?P<host>[0-9a-f]{8})-(?P<process>\d+)\.)?[a-z0-9_]{8}")
"""Names of run folders that were being made, with the machine and process that made them; version 0.1 did not
say who."""


class TakenError(InputError):
    """A folder exists already."""


def make_folder(
    path: Path,
    fill: Callable[[Path], object],
    *,
    what: str = "folder",
    choice: str = "--out",
    way_out: str = "",
    clear: bool = True,
) -> None:
    """Makes a folder with all that is in it, under another name first; folders that were never finished go.

    Args:
        path: Path of the folder; the folders around it are made as well.
        fill: Writes what is in it; nothing is left if it raises.
        what: Name of such a folder, for the message.
        choice: Name of what the user chose the path by, for the message.
        way_out: Another way out where the path exists, for the message.
        clear: Whether to look for such folders, among all that stand beside it.

    Raises:
        TakenError: If the path exists already; of several processes that make one, the first has it.
        InputError: If it cannot be written.
    """
    taken = TakenError(f"{path} exists already; choose another {choice}{way_out}")
    if path.exists():
        raise taken
    if (file := next((folder for folder in path.parents if folder.is_file()), None)) is not None:
        raise InputError(
            f"cannot make the {what} {path}: {file} is a file, not a folder; choose another {choice}"
        )
    around = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if clear:
            _clear(path.parent)
        prefix = f".{path.name}.{_machine()}-{os.getpid()}."
        partial = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        try:
            partial.chmod(0o755)
            fill(partial)
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            for folder in around:
                with suppress(OSError):  # another process has put something there
                    folder.rmdir()
            raise
    except NoSpaceError:
        raise NoSpaceError(
            f"no space left on the disk for the {what} {path}; nothing of it is kept: free some space first"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.exists():
            raise taken from None
        raise InputError(f"cannot make the {what} {path}: {error.strerror}") from None


def numbered(stem: Path, make: Callable[[Path], T]) -> T:
    """What is made under the first free name, stem-1, stem-2 ...; several processes get a number each."""
    for number in count(1):
        path = stem.with_name(f"{stem.name}-{number}")
        with suppress(TakenError):
            if not path.exists():
                return make(path)
    raise AssertionError("numbers do not end")


def clear_unborn(folder: Path) -> None:
    """Removes all folders that were being made in one that nobody else writes to."""
    for left in folder.iterdir():
        if _UNBORN.fullmatch(left.name):
            shutil.rmtree(left)


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _clear(folder: Path) -> None:
    """Removes run folders that a process of this machine was making when it was killed."""
    for left in folder.iterdir():
        made = _UNBORN.fullmatch(left.name)
        if made and made["host"] == _machine() and not _alive(int(made["process"])):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
