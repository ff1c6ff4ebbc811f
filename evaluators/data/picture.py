"""One picture file to RGB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.data.decode import as_rgb
from search_space.errors import InputError

if TYPE_CHECKING:
    from PIL import Image


def open_rgb(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Decodes a picture; grey, CMYK, palette and 16-bit ones become RGB, as by `as_rgb`.

    A turn that the camera noted (EXIF) is not applied: COCO's annotations are made for the pixels as stored.

    Args:
        path: The file.
        size: Width and height that it has to have, as an annotation file says; None for any.

    Raises:
        InputError: If there is no such file, it is no picture, cut short or of another size.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture = as_rgb(file)
    except FileNotFoundError:
        raise InputError(f"no picture at {path}") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        reason = "it is no picture" if "cannot identify" in str(error) else error
        raise InputError(f"cannot decode {path} ({reason}); replace or remove it") from error
    if size is not None and picture.size != size:
        stored, listed = ("x".join(map(str, sizes)) for sizes in (picture.size, size))
        raise InputError(
            f"{path} is {stored} pixels, its annotation file says {listed}; "
            "boxes would not fit: take the picture that was annotated"
        )
    return picture
