"""Which pictures and labels to read, and how they lie."""

from __future__ import annotations

from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError, shown

IGNORED = 255
"""What labels without a class become."""


@config
class SceneData:
    """Pictures and their label images: one channel, the value of a pixel is its class."""

    root: str | None = None
    """Folder that holds both."""
    layout: Literal["folders", "cityscapes"] = "folders"
    """How: as `images` and `labels` say, or as Cityscapes (leftImg8bit, gtFine with labelIds)."""
    images: str = "{part}"
    """Folder of a part's pictures below `root`."""
    labels: str = "{part}annot"
    """Folder of its labels, which have the pictures' names but for the ending."""
    train: str = "train"
    """Part to train on."""
    validation: str | None = None
    """Part to select on; if left out, a share of the training part is held out."""
    test: str = "val"
    """Part to evaluate at the end."""
    num_classes: int | None = None
    """Classes; values of pixels are 0 to one less. Cityscapes has its own 19."""
    classes: tuple[str, ...] = ()
    """Their names, if wanted."""
    values: tuple[int, ...] = ()
    """Value of the pixels of each class, in the order of the classes; none: 0 to one less than there are.
    For masks of 0 and 255: 0 255."""
    ignore: int = IGNORED
    """Value of pixels that belong to no class, unless `values` has it."""
    image_size: tuple[int, int] | None = None
    """Height and width to resize pictures and labels to; none: as stored. Labels keep their values, and are
    resized for the evaluation as well."""
    limit: int | None = None
    """Use at most so many pictures of each part, at even steps; none: all."""

    def __post_init__(self) -> None:
        rules.pixels(self, "image_size")
        rules.positive(self, "num_classes", "limit")
        if self.image_size is not None and min(self.image_size) < 1:
            raise InputError(f"image_size is {self.image_size}; give a height and a width, or leave it out")
        if self.classes and self.num_classes not in (None, len(self.classes)):
            raise InputError(f"num_classes is {self.num_classes}, but {len(self.classes)} classes are named")
        if self.layout == "cityscapes" and (self.classes or self.num_classes or self.values):
            raise InputError("Cityscapes has its own classes; leave classes, num_classes and values out")
        count = len(self.classes) or self.num_classes or len(self.values)
        if self.values and (len(set(self.values)) != count or len(self.values) != count):
            raise InputError(
                f"values is {shown(self.values)}; give one for each of {count} classes, all different"
            )
        if self.values and not 0 <= min(self.values) <= max(self.values) < 1 << 16:
            raise InputError(f"values is {shown(self.values)}; give numbers from 0 to 65535")
        if self.layout == "folders":
            for name in ("images", "labels"):
                if "{part}" not in getattr(self, name):
                    raise InputError(
                        f"{name} is {shown(getattr(self, name))}; it has to contain {{part}}, for example "
                        f"{name}/{{part}}"
                    )
            if not self.values and 0 <= self.ignore < (len(self.classes) or self.num_classes or 0):
                raise InputError(f"ignore={self.ignore} is the value of a class")
