"""One image file to RGB: every task reads its images through here."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foundation.errors import InputError
from foundation.reading import check_regular

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)


def opened(file: bytes | str | Path, *, upright: bool) -> Image.Image:
    """Decodes an image of any mode to RGB, as by `as_rgb`.

    Args:
        file: Its bytes, or where it lies.
        upright: Whether to apply the turn or mirroring that the camera noted (EXIF). Where annotations name
            positions in the image they are made for the pixels as stored, and it is not applied.

    Raises:
        ValueError: If the range of its pixels is not known.
        InputError: If there is no such file, or it is a pipe or device.
        OSError: If it is damaged; Pillow raises other errors as well.
    """
    from PIL import Image, ImageOps

    if not isinstance(file, bytes):
        check_regular(file, "image")
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        turned = (
            upright and image.getexif().get(ORIENTATION, 1) != 1
        )  # else exif_transpose copies for nothing
        return as_rgb(ImageOps.exif_transpose(image) if turned else image, image.format)


ORIENTATION = 0x0112
"""EXIF's number for the turn."""


def as_rgb(image: Image.Image, kind: str | None = None) -> Image.Image:
    """An image of any mode in RGB.

    Transparency is dropped, 16-bit grey keeps its upper byte, of several frames the first counts. Grey
    levels of 8 bits in a file of 16 would all turn black and are refused; levels of 12 bits are warned of.

    Args:
        image: The image.
        kind: Format of its file; PNG and PPM hold 16 bits at most, in whatever mode they are read.

    Raises:
        ValueError: If the range of its pixels is not known, or is 8 bits in a file of 16.
        OSError: If it is damaged.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        image = Image.fromarray(_upper_bytes(np.asarray(image).astype(np.uint16)))
    elif image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits of unknown range; store it with 8 bits")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _upper_bytes(levels: np.ndarray) -> np.ndarray:
    largest = int(levels.max(initial=0))
    if 0 < largest < 256:
        raise ValueError(
            f"it has 16 bits, but no level above {largest}, and would be black; store it with 8 bits"
        )
    if 0 < largest < 4096:
        _warn_of_dark()
    return (levels >> 8).astype(np.uint8)


@cache  # one warning a process
def _warn_of_dark() -> None:
    logger.warning(
        "16-bit images with no level above 4095 are read as they are, nearly black; "
        "if yours hold 12 bits, scale them to 16"
    )


def open_rgb(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Decodes an image that has annotations; see `opened`, not `upright`.

    Args:
        path: The file.
        size: Width and height that it has to have, as an annotation file says; None for any.

    Raises:
        InputError: If there is no such file, it is no image, cut short or of another size.
    """
    with _decoding(path):
        picture = opened(path, upright=False)
    if size is not None:
        _compare(path, picture.size, size)
    return picture


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Checks that an image has the width and height that an annotation file says, without decoding it.

    Raises:
        InputError: If there is no such file, it is no image, or it has another size.
    """
    from PIL import Image

    check_regular(path, "image")
    with _decoding(path), Image.open(path) as file:
        stored = file.size
    _compare(path, stored, size)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        reason = "it is no image" if "cannot identify" in str(error) else error
        raise InputError(f"cannot decode {path} ({reason}); replace or remove it") from error


def _compare(path: Path, stored: tuple[int, int], listed: tuple[int, int]) -> None:
    if stored != listed:
        ours, theirs = ("x".join(map(str, sizes)) for sizes in (stored, listed))
        raise InputError(
            f"{path} is {ours} pixels, its annotation file says {theirs}; "
            "boxes would not fit: take the image that was annotated"
        )
