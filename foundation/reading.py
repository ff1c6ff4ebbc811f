"""Files that users hand in, which may be anything: read only where they are files, and have an end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from foundation.errors import InputError, shown
from foundation.words import one

RECORD_BYTES = 1 << 26
"""Most that a record is read of: far above any genotype, config or table of figures."""
DATA_BYTES = 1 << 33
"""Most that a file of annotations is read of."""


def check_regular(path: str | Path, what: str) -> int:
    """Refuses what has no end, or would be waited for: pipes, devices, sockets; folders too.

    Args:
        path: Where the user says that the file is.
        what: What it should be, for the message.

    Returns:
        Bytes of the file.

    Raises:
        InputError: If there is no such file, or it is no ordinary one.
    """
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"no {what} at {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {one(what)} from {path}: {error.strerror}") from None
    except ValueError:
        raise InputError(f"no {what} at {shown(str(path))}: no path looks like this") from None
    if not stat.S_ISREG(facts.st_mode):
        folder = stat.S_ISDIR(facts.st_mode)
        kind = os.strerror(errno.EISDIR) if folder else "it is a pipe, device or socket, not a file"
        raise InputError(f"cannot read {one(what)} from {path}: {kind}")
    return facts.st_size


def read_bytes(path: str | Path, what: str, most: int = RECORD_BYTES) -> bytes:
    """Reads a whole file.

    Args:
        path: Where it is.
        what: What it should be, for the message.
        most: Bytes above which it is refused.

    Raises:
        InputError: If there is no such file, it is no ordinary one, too large, or cannot be read.
    """
    size = check_regular(path, what)
    if size > most:
        raise InputError(f"{path} has {size:,} bytes, too many for {one(what)}")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {one(what)} from {path}: {error.strerror}") from None
