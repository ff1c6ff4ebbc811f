"""Images with their labels as samples: crops for training, whole for evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from evaluators.tasks.segmentation.data import IGNORED
from evaluators.tasks.segmentation.scenes import Scenes

if TYPE_CHECKING:
    from PIL import Image

FILL = (124, 116, 104)
"""Colour beside an image that is smaller than the crop: the mean that is subtracted, in bytes."""


class Scene(NamedTuple):
    """An image and the class of each pixel, `IGNORED` for none."""

    picture: UInt8[Tensor, "3 h w"]
    labels: Int64[Tensor, "h w"]


@dataclass(frozen=True)
class Uncut:
    """Images as they are; see `Samples`.

    Args:
        scenes: Where they come from.
    """

    scenes: Scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def sample(self, index: int, seed: int) -> Scene:
        return _scene(self.scenes.picture(index), self.scenes.labels(index))


@dataclass(frozen=True)
class Crops:
    """Random squares of images that are resized and mirrored at random; see `Samples`.

    The part of the image that is wanted is cut out and resized in one, which is the same but for pixels at
    its rim. Where the resized image is smaller than the square, it is extended to the right and below.

    Args:
        scenes: Where they come from.
        size: Side of the square.
        scales: Least and largest factor of the image's sides, drawn evenly.
        flip: Whether to mirror half of them.
    """

    scenes: Scenes
    size: int
    scales: tuple[float, float]
    flip: bool

    def __len__(self) -> int:
        return len(self.scenes)

    def sample(self, index: int, seed: int) -> Scene:
        from PIL import Image

        random = np.random.default_rng(seed)
        picture, labels = self.scenes.picture(index), self.scenes.labels(index)
        scale = random.uniform(*self.scales)

        def span(side: int) -> tuple[int, float, float]:
            """Pixels to fill along one axis, and from where to where of the image they come."""
            resized = round(side * scale)
            taken = max(1, min(resized, self.size))
            first = int(random.integers(0, max(resized - taken, 0), endpoint=True))
            return taken, first / scale, min((first + taken) / scale, side)

        (width, left, right), (height, top, bottom) = span(picture.width), span(picture.height)
        size, box = (width, height), (left, top, right, bottom)
        picture = picture.resize(size, Image.Resampling.BILINEAR, box)
        labels = labels.resize(size, Image.Resampling.NEAREST, box)
        if self.flip and random.random() < 0.5:
            picture, labels = (
                image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in (picture, labels)
            )
        if size != (self.size, self.size):
            whole = Image.new("RGB", (self.size, self.size), FILL)
            ignored = Image.new("L", (self.size, self.size), IGNORED)
            whole.paste(picture)
            ignored.paste(labels)
            picture, labels = whole, ignored
        return _scene(picture, labels)


def _scene(picture: Image.Image, labels: Image.Image) -> Scene:
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    return Scene(pixels, torch.from_numpy(np.array(labels, dtype=np.int64)))


def collate_scenes(scenes: list[Scene]) -> Scene:
    """Stacks scenes of one size."""
    return Scene(*(torch.stack(parts) for parts in zip(*scenes)))
