"""Checkpoints of a job: the newest two, never code."""

from __future__ import annotations

import itertools
import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from foundation.errors import InputError
from foundation.files import write_atomically
from foundation.reading import check_regular

log = logging.getLogger(__name__)

KEPT = 2


def save(folder: Path, state: dict[str, Any], step: int) -> None:
    """Writes the state of a job after `step` steps and removes all but the newest two."""
    folder.mkdir(exist_ok=True)
    write_atomically(folder / f"step-{step:09d}.pt", lambda path: _write(path, state))
    for old in _by_age(folder)[KEPT:]:
        old.unlink()


def _write(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:  # given a path, torch hides that the disk is full
        torch.save(state, file)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest complete state, on the CPU; None if there is none.

    A file that is cut short or damaged is passed over with a warning, for the one before it.

    Raises:
        InputError: If a file holds anything but tensors and plain values (it may carry code), or cannot be
            read, or no file is whole.
    """
    paths = _by_age(folder)
    for path, before in itertools.zip_longest(paths, paths[1:]):
        problem = _damage(path)
        if problem is None:
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:
                raise InputError(
                    f"{path} carries code and is refused; delete it if you do not know where it comes from"
                ) from None
            except Exception:  # whatever damage makes torch, zipfile and pickle raise
                problem = "damaged"
            else:
                if isinstance(state, dict):
                    return state
                problem = "damaged"
        if before is not None:
            log.warning("%s is %s; using the checkpoint before it", path, problem)
            continue
        raise InputError(
            f"{path} is {problem}{', like the one after it' if len(paths) > 1 else ''}, and there is none "
            f"before it; delete {folder} to begin at step 0"
        )
    return None


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"), reverse=True)


def _damage(path: Path) -> str | None:
    """What is wrong with the container, if anything; refuses other containers than torch's own."""
    check_regular(path, "checkpoint")
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if start[:1] == b"\x80":
        raise InputError(f"{path} is a bare pickle, which can carry code, and is refused")
    try:
        with zipfile.ZipFile(path) as archive:
            return "damaged" if archive.testzip() else None
    except zipfile.BadZipFile:
        return "cut short"
    except Exception:  # flipped bits make zipfile ask for other methods, passwords, offsets
        return "damaged"
