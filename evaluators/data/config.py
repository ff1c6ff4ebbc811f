"""What to read and how to augment it."""

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
    """Reader: digits, cifar10, cifar100, folder (classes as folders, or tars of them), or one of your own."""

    root: str | None = None
    """Folder, tar or tar.gz that holds the images; digits need none."""

    download: bool = False
    """Download the official files into `root` if they are missing (cifar10 and cifar100)."""

    image_size: int | None = None
    """Side in pixels for folders: the short side is resized, the centre cropped; none: as stored."""

    limit: int | None = None
    """Use at most so many images of each part (training, test, validation), the same ones every time,
    classes in proportion; none: all."""

    mean: tuple[float, ...] | None = None
    """Mean of each channel, pixels in 0 to 1; none: that of the training images."""

    std: tuple[float, ...] | None = None
    """Standard deviation of each channel, pixels in 0 to 1; none: that of the training images."""

    padding: int = 4
    """Crop at a random place of the image padded with so many black pixels a side; 0: off."""

    flip: bool = True
    """Mirror half of the training images, left to right; digits are never mirrored."""

    cutout: int = 0
    """Side in pixels of a square set to zero at a random place; 0: off."""

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
