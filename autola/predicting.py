"""Predictions of a trained network, drawn onto images."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from autola.trained import open_trained
from evaluators.data.pictures import open_picture
from foundation.errors import InputError


def run_predictions(
    run: Path, images: Sequence[Path], out: Path | None, *, numbered: bool = False
) -> list[dict[str, Any]]:
    """Shows images to a trained network.

    Args:
        run: Folder of one training.
        images: Files of any type that Pillow knows.
        out: New folder for the drawn pictures, PNGs of the same names; None to draw none.
        numbered: Whether `out` gets the next free number behind it: predict-1, predict-2.

    Returns:
        For each image, as JSON values: where it lies, what was found, and where it was drawn.

    Raises:
        InputError: If the run or an image cannot be read; no folder is made then.
    """
    if out is not None and out.exists() and not numbered:
        raise _taken(out)
    trained = open_trained(run)
    if out is None:
        return [_one(trained, image, None) for image in images]
    there = next(folder for folder in out.absolute().parents if folder.exists())
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=there))
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from None
    try:
        entries = [_one(trained, image, partial) for image in images]
        partial.chmod(0o755)
        out.parent.mkdir(parents=True, exist_ok=True)
        whole = _named(partial, out, numbered)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return [{**entry, "picture": str(whole / entry["picture"])} for entry in entries]


def _named(partial: Path, out: Path, numbered: bool) -> Path:
    """Gives a folder that is whole its name; of several processes each gets a number of its own."""
    names = (out.with_name(f"{out.name}-{number}") for number in count(1)) if numbered else iter([out])
    for name in names:
        try:
            if not name.exists():
                return partial.rename(name)
        except OSError as error:  # another process was faster
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise _taken(out)


def _taken(out: Path) -> InputError:
    return InputError(f"{out} exists already; choose another --out")


def _one(trained: Any, image: Path, partial: Path | None) -> dict[str, Any]:
    picture = open_picture(image)
    prediction = trained.task.predict(trained.network, trained.data, picture)
    entry: dict[str, Any] = {"image": str(image), "found": prediction.found}
    if partial is not None:
        entry["picture"] = _free(partial, image.stem)
        prediction.picture.save(partial / entry["picture"])
    return entry


def _free(folder: Path, stem: str) -> str:
    """A name that no picture of the folder has: images of two folders may have one name."""
    names = chain([f"{stem}.png"], (f"{stem}-{number}.png" for number in count(2)))
    return next(name for name in names if not (folder / name).exists())
