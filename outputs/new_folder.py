"""New folders of a run: whole or not there, and nothing left of those that were being made."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from foundation.errors import InputError
from foundation.files import write_text

_UNBORN = re.compile(r"\.(?P<name>.+?)\.((?P<host>[0-9a-f]{8})-(?P<process>\d+)\.)?[a-z0-9_]{8}")
"""Names of run folders that were being made, with the machine and process that made them; version 0.1 did not
say who."""


class TakenError(InputError):
    """A run folder exists already."""


def make_folder(path: Path, files: Mapping[str, str]) -> None:
    """Makes the folder of a run with some files; see `fill_folder`.

    Args:
        path: Of the folder; those around it are made as well.
        files: Their texts by name.
    """

    def fill(partial: Path) -> None:
        for name, text in files.items():
            write_text(partial / name, text)

    fill_folder(path, fill, f"choose another --out, or go on with --resume {path}", kind="run folder")


def fill_folder(path: Path, fill: Callable[[Path], object], otherwise: str, kind: str = "folder") -> None:
    """Makes a folder with what is in it, under another name first; folders that were never finished go.

    Args:
        path: Of the folder; those around it are made as well.
        fill: Writes what is in it to the path that it is given.
        otherwise: What to do if the path exists already, for the message.
        kind: What the folder is, for the message.

    Raises:
        TakenError: If the path exists already; of several processes that make one, the first has it.
        InputError: If it cannot be written.
    """
    taken = TakenError(f"{path} exists already; {otherwise}")
    if path.exists():
        raise taken
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path.parent)
        prefix = f".{path.name}.{_machine()}-{os.getpid()}."
        partial = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        try:
            partial.chmod(0o755)
            fill(partial)
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.exists():
            raise taken from None
        raise InputError(f"cannot make the {kind} {path}: {error.strerror}") from None


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
