"""Predictions of a trained network, drawn onto pictures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from autola.trained import open_trained
from evaluators.data.pictures import open_picture
from foundation.errors import InputError


def run_predictions(run: Path, images: Sequence[Path], out: Path | None) -> list[dict[str, Any]]:
    """Shows pictures to a trained network.

    Args:
        run: Folder of one training.
        images: Files of any type that Pillow knows.
        out: New folder for the drawn pictures, PNGs of the same names; None to draw none.

    Returns:
        For each image, as JSON values: where it lies, what was found, and where it was drawn.

    Raises:
        InputError: If the run or an image cannot be read; no folder is made then.
    """
    if out is not None and out.exists():
        raise InputError(f"{out} exists already; choose another --out")
    trained = open_trained(run)
    if out is None:
        return [_one(trained, image, None, None) for image in images]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from None
    try:
        told = [_one(trained, image, partial, out) for image in images]
        partial.chmod(0o755)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return told


def _one(trained: Any, image: Path, partial: Path | None, out: Path | None) -> dict[str, Any]:
    picture = open_picture(image)
    prediction = trained.task.predict(trained.network, trained.data, picture)
    told: dict[str, Any] = {"image": str(image), "found": prediction.found}
    if partial is not None and out is not None:
        name = _free(partial, image.stem)
        prediction.picture.save(partial / name)
        told["picture"] = str(out / name)
    return told


def _free(folder: Path, stem: str) -> str:
    """A name that no picture of the folder has: images of two folders may have one name."""
    names = chain([f"{stem}.png"], (f"{stem}-{number}.png" for number in count(2)))
    return next(name for name in names if not (folder / name).exists())
