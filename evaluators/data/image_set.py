"""Decoded images in memory, and the parts of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from evaluators.data.listing import Listing


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size with their labels; never changed in place.

    Attributes:
        images: Pixels, channels last.
        labels: Indices into `classes`.
        classes: Names of all classes of the data set, also of those that no image here has.
    """

    images: UInt8[Tensor, "n h w c"]
    labels: Int64[Tensor, "n"]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8, self.images.dtype
        assert self.images.ndim == 4, self.images.shape
        assert self.labels.dtype == torch.int64, self.labels.dtype
        assert self.labels.shape == self.images.shape[:1], (self.labels.shape, self.images.shape)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def select(self, indices: Int64[Tensor, "m"]) -> ImageSet:
        """The images at `indices`, in that order."""
        return ImageSet(self.images[indices], self.labels[indices], self.classes)


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of a data set; all share classes, image size and channels.

    Attributes:
        train: What searches and training see.
        test: Read once, at the end.
        validation: Images to select on, if the data set brings them; otherwise hold some out of `train`.
        listings: What was there, by the part it was read from; `read` counts the images where a reader
            does not say.
    """

    train: ImageSet
    test: ImageSet
    validation: ImageSet | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)

    def parts(self) -> dict[str, ImageSet]:
        """Name to images, of the parts there are."""
        parts = {"train": self.train, "test": self.test}
        return parts if self.validation is None else {**parts, "validation": self.validation}

    @property
    def num_classes(self) -> int:
        return len(self.train.classes)

    @property
    def in_channels(self) -> int:
        return self.train.images.shape[3]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.train.size
