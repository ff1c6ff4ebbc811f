"""Label pictures read to the numbers that their files store, not to what a viewer would show."""

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


def read_numbers(path: Path) -> NDArray[Any]:
    """The number of every pixel, (h, w): palettes to their indices, grey of 1, 2, 4, 8 or 16 bits as stored.

    Raises:
        InputError: If the file cannot be decoded, or has several channels or no whole numbers.
    """
    from PIL import Image

    check_regular(path, "picture of labels")
    try:
        with Image.open(path) as file:
            mode, stored = file.mode, _stored_as(file)
            found = np.asarray(file) if mode in _MODES else None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise InputError(f"cannot decode the labels {path} ({error}); replace or remove them") from error
    if found is None:
        raise InputError(f"{path} is {mode}, but labels have one channel: the class of each pixel")
    if mode == "1":
        found = found.astype(np.uint8)
    if mode in ("1", "L") and stored.endswith("I"):  # TIFF: 0 is white, and the decoder turns it round
        found = (1 if mode == "1" else 255) - found
    step = _STEPS.get(stored.removesuffix("I").removesuffix("R"), 1) if mode == "L" else 1
    return found // step if step > 1 else found


def _stored_as(file: Image.Image) -> str:
    """Pillow's name for how the pixels lie in the file, such as L;4; "" where it has none."""
    tiles: list[Any] = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""
