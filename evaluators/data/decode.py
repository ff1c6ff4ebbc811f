"""Files to pixels."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from evaluators.data.index import Index, Source
from evaluators.data.memory import check_fits
from evaluators.data.picture import opened
from evaluators.data.progress import tracked
from foundation.cores import usable_cores
from foundation.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

_SMALL = 4096  # bytes; below, threads lose more to the interpreter's lock than decoding gains
_Pixels = NDArray[np.uint8]


def decode(source: Source, index: Index, image_size: int | None) -> UInt8[Tensor, "n h w 3"]:
    """Decodes all images of a source to RGB.

    Args:
        source: Where they are.
        index: Which they are, and in which order they are wanted.
        image_size: Side in pixels; None if all images have one size.

    Raises:
        InputError: If an image does not decode, sizes differ, or the images do not fit into memory.
    """
    started = time.monotonic()
    pixels, first = np.empty((0, 0, 0, 3), dtype=np.uint8), ""
    seen = np.zeros(len(index), dtype=bool)
    files = tracked(_decoded(source, index, image_size), len(index), f"decoding {source.path.name}")
    for name, image in files:
        if not first:
            check_fits(len(index), image.shape, source.path)
            pixels, first = np.empty((len(index), *image.shape), dtype=np.uint8), name
        if image.shape != pixels.shape[1:]:
            raise InputError(
                f"images in {source.path} differ in size: {first} is {_size(pixels[0])}, "
                f"{name} {_size(image)}; give image_size"
            )
        number = index.numbers[name]
        pixels[number] = image
        seen[number] = True
    if not seen.all():
        raise InputError(f"{source.path} changed while it was read; start again")
    log.info("decoded %d images of %s in %.1f s", len(index), source.path, time.monotonic() - started)
    return torch.from_numpy(pixels)


def pixels_of(file: bytes | Path, image_size: int | None) -> _Pixels:
    """Decodes one image to RGB, shape (h, w, 3); with `image_size`, resized at the short side and cropped."""
    image = opened(file, upright=True)
    return np.asarray(image if image_size is None else fit(image, image_size))


def fit(image: Image, side: int) -> Image:
    """Resizes the short side and crops the centre, to a square of `side` pixels."""
    from PIL import Image

    width, height = image.size
    short = min(width, height)
    width, height = max(side, width * side // short), max(side, height * side // short)
    left, top = round((width - side) / 2), round((height - side) / 2)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + side, top + side))


def _decoded(source: Source, index: Index, image_size: int | None) -> Iterator[tuple[str, _Pixels]]:
    """Decodes what is listed, in the order of the source; in threads where images are large enough."""

    def work(name: str, file: bytes | Path) -> tuple[str, _Pixels]:
        try:
            return name, pixels_of(file, image_size)
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
            reason = "it is no image or damaged" if "BytesIO" in str(error) else error
            raise InputError(
                f"cannot decode {name} in {source.path} ({reason}); replace or remove it"
            ) from error

    files = (file for file in source.files() if file[0] in index.numbers)
    first = next(files, None)
    if first is None:
        return
    files = chain([first], files)
    size = first[1].stat().st_size if isinstance(first[1], Path) else len(first[1])
    workers = min(8, usable_cores())
    if size < _SMALL or workers == 1:
        yield from (work(*file) for file in files)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from _in_order((pool.submit(work, *file) for file in files), ahead=8 * workers)


def _in_order(futures: Iterable[Future[tuple[str, _Pixels]]], ahead: int) -> Iterator[tuple[str, _Pixels]]:
    waiting: deque[Future[tuple[str, _Pixels]]] = deque()
    try:
        for future in futures:
            waiting.append(future)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _size(pixels: _Pixels) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
