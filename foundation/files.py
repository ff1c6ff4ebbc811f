"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from foundation.errors import InputError, NoSpaceError


def cache_folder() -> Path:
    """$AUTOLA_CACHE, or autola in $XDG_CACHE_HOME, or ~/.cache/autola."""
    if given := os.environ.get("AUTOLA_CACHE"):
        return Path(given).expanduser()
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "autola"
    return Path.home() / ".cache" / "autola"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name beside it, flushes it to the disk and renames it.

    Args:
        path: The file; what it held before stays until the new content is complete.
        write: Writes the content to the path that it is given.

    Raises:
        NoSpaceError: If the disk is full; nothing is left behind.
        OSError: If it cannot be written; names the file, and not the temporary one.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        if out_of_space(error):
            raise no_space(path) from None
        error.filename = str(path)
        raise
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if out_of_space(error):
            raise no_space(path) from None
        if isinstance(error, OSError) and error.filename in (temporary, name):
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text atomically; see `write_atomically`."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def check_new_file(path: Path) -> None:
    """Checks, before anything is computed, that a file can be written that is not there yet.

    Raises:
        InputError: If it is, or its folder is not.
    """
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent} to write {path.name} to")
    if path.exists():
        raise InputError(f"{path} exists already; choose another file")


def out_of_space(error: BaseException) -> bool:
    """Whether a full disk or quota is behind an error, torch's and safetensors' included.

    torch's writer of archives raises an error of its own while it ends the file that could not be written.
    """
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(at) or "os error 28" in str(at):
            return True
        at = at.__cause__ or at.__context__
    return False


def no_space(path: Path) -> NoSpaceError:
    """The error for a full disk."""
    return NoSpaceError(
        f"no space left on the disk for {path}; what was complete is kept: "
        "free some space and --resume the run"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
