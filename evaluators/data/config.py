"""Settings of the images: which are read, and how they are augmented."""

from __future__ import annotations

import math

from foundation import rules
from foundation.config import config
from foundation.errors import InputError


@config
class DataConfig:
    """The images of a run.

    Raises:
        InputError: If a value makes no sense by itself; what depends on the images is checked when they are
            read.
    """

    name: str = "digits"
    """Name of the reader: digits, cifar10, cifar100, folder (a folder a class, or tars of these), or one of
    your own."""

    root: str | None = None
    """Path of the folder, tar or tar.gz that holds the images; digits need none."""

    download: bool = False
    """Download the official files into `root` if they are missing (cifar10 and cifar100)."""

    image_size: int | None = None
    """Side in pixels that images of folders get: the short side is resized to it and the centre is cropped;
    larger shows more and costs more time and memory. If left out, images stay as they are stored."""

    limit: int | None = None
    """The most images to use of each part (training, test, validation): always the same ones, classes in
    proportion. All if left out."""

    mean: tuple[float, ...] | None = None
    """Mean that is subtracted from each channel, of pixels in 0 to 1; that of the training images if left
    out."""

    std: tuple[float, ...] | None = None
    """Standard deviation that each channel is divided by, of pixels in 0 to 1; that of the training images if
    left out."""

    padding: int = 4
    """Black pixels that are added on each side of a training image before it is cropped to its old size at a
    random position: more shift it further. 0 for none."""

    flip: bool = True
    """Mirror half of the training images, left to right, at random; digits are never mirrored."""

    cutout: int = 0
    """Side in pixels of a square of each training image that is set to zero, centred at a random pixel;
    larger hides more. 0 for none."""

    def __post_init__(self) -> None:
        for name in ("image_size", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; give at least 1, or leave it out")
        for name in ("padding", "cutout"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 (off) or a number of pixels")
        rules.pixels(self, "image_size", "padding", "cutout")
        rules.positive(self, "limit")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None and not (value and all(map(math.isfinite, value))):
                raise InputError(f"{name} is {value}; give one number a channel, or leave it out")
            if value is not None and not 0 <= min(value) <= max(value) <= 1:
                raise InputError(f"{name} is {value}, but pixels are in 0 to 1 here: divide by 255")
        if self.std is not None and min(self.std) <= 0:
            raise InputError(f"std is {self.std}; each value must be positive")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise InputError(
                f"mean has {len(self.mean)} values and std {len(self.std)}; give one each a channel"
            )
