"""Settings of a segmentation's images and labels: which are read, and how they are laid out."""

from __future__ import annotations

from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError, shown

IGNORED = 255
"""Value of pixels whose label has no class."""


@config
class SceneData:
    """Images and their label images, which have one channel: the value of a pixel is its class."""

    root: str | None = None
    """Path of the folder that holds images and labels."""
    layout: Literal["folders", "cityscapes"] = "folders"
    """Layout of that folder: as `images` and `labels` say (folders), or as Cityscapes has it (leftImg8bit,
    and gtFine with labelIds)."""
    images: str = "{part}"
    """Folder of a part's images below `root`; {part} stands for the part's name."""
    labels: str = "{part}annot"
    """Folder of a part's labels below `root`; the files have the images' names but for the ending."""
    train: str = "train"
    """Name of the part to train on."""
    validation: str | None = None
    """Name of the part to select weights on; if left out, a share of the training part is held out."""
    test: str = "val"
    """Name of the part to evaluate at the end."""
    num_classes: int | None = None
    """Number of classes; without `values`, pixels are 0 to one less. Cityscapes has its own 19."""
    classes: tuple[str, ...] = ()
    """Names of the classes, for tables and drawings, in the order of their values; numbers if left out."""
    values: tuple[int, ...] = ()
    """Value of the pixels of each class, in the order of the classes, as 0 255 for masks of these two values;
    0 to one less than there are classes if left out."""
    ignore: int = IGNORED
    """Value of pixels that belong to no class and count nowhere, unless `values` has it."""
    image_size: tuple[int, int] | None = None
    """Height and width in pixels that images and labels are resized to, for the evaluation as well; labels
    keep their values. If left out, they stay as they are stored."""
    limit: int | None = None
    """The most images to use of each part, at even steps; all if left out."""

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
