"""Label images read to the numbers that their files store, not to what a viewer would show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import InputError
from foundation.reading import check_regular

if TYPE_CHECKING:
    from PIL import Image

_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")

_STEPS = {"L;2": 85, "L;4": 17}
"""What the decoder multiplies grey of few bits by, so that its largest value is white."""

_LOSSY = ("JPEG", "MPO", "JPEG2000")
"""Formats of one channel that store other numbers than they are given."""


def read_numbers(path: Path) -> NDArray[Any]:
    """The number of every pixel, (h, w): palettes to their indices, grey of 1, 2, 4, 8 or 16 bits as stored.

    Raises:
        InputError: If the file cannot be decoded, its format does not keep numbers as they are, or it has
            several channels or pages or no whole numbers.
    """
    from PIL import Image

    check_regular(path, "image of labels")
    try:
        with Image.open(path) as file:
            kind, mode, stored, largest = file.format, file.mode, _stored_as(file), _largest(file)
            pages = getattr(file, "n_frames", 1)
            found = np.asarray(file) if mode in _MODES else None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise InputError(f"cannot decode the labels {path} ({error}); replace or remove them") from error
    if kind in _LOSSY:
        raise InputError(f"{path} is stored as {kind}, which changes numbers; store labels as PNG")
    if pages > 1:
        raise InputError(f"{path} has {pages} pages or frames, and labels have one; store one image a file")
    if found is None:
        raise InputError(f"{path} is {mode}, but labels have one channel: the class of each pixel")
    if mode == "1":
        found = found.astype(np.uint8)
    if mode in ("1", "L") and stored.endswith("I"):  # TIFF: 0 is white, and the decoder turns it round
        found = (1 if mode == "1" else 255) - found
    if largest:  # the decoder stretches what lies between 0 and the file's largest value
        return np.rint(found.astype(np.float64) * largest / (255 if mode == "L" else 65535)).astype(np.int32)
    step = _STEPS.get(stored.removesuffix("I").removesuffix("R"), 1) if mode == "L" else 1
    return found // step if step > 1 else found


def _stored_as(file: Image.Image) -> str:
    """Pillow's name for how the pixels lie in the file, such as L;4; "" where it has none."""
    tiles: list[Any] = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _largest(file: Image.Image) -> int:
    """The largest value that a PGM says it has, where the decoder stretches values for it; else 0."""
    tiles: list[Any] = getattr(file, "tile", [])
    arguments = tiles[0][3] if file.format == "PPM" and tiles else ()
    largest = arguments[1] if isinstance(arguments, tuple) and len(arguments) > 1 else 0
    return largest if isinstance(largest, int) and largest not in (0, 255, 65535) else 0
