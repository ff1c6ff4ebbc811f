"""One person of an image, cut out to a fixed size.

Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018 (arXiv:1804.06208),
with the numbers of the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from evaluators.data.coco import CocoSet
from evaluators.data.picture import open_rgb
from evaluators.tasks.keypoints.people import Person

if TYPE_CHECKING:
    from PIL import Image

Matrix = NDArray[np.float64]
"""(2, 3): takes a position (x, y, 1) in a crop to its position in the image; 0 is the centre of a pixel."""


def crop_matrix(
    box: Sequence[float],
    size: tuple[int, int],
    *,
    margin: float,
    scale: float = 1.0,
    degrees: float = 0.0,
    mirrored: bool = False,
) -> Matrix:
    """Where a crop lies: around the box, of the crop's shape, so large that the box fits `margin` times.

    Args:
        box: Left, top, width and height in pixels of the image.
        size: Height and width of the crop in its own pixels.
        margin: Sides of the crop, in those of the box, widened to the crop's shape.
        scale: Factor of the margin.
        degrees: By which the person is turned, clockwise.
        mirrored: Whether left becomes right.
    """
    left, top, width, height = box
    h, w = size
    pixel = max(width / w, height / h) * margin * scale
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    side = -1 if mirrored else 1
    turn = np.array([[side * cosine, sine], [-side * sine, cosine]]) * pixel
    centre = np.array([left + width / 2 - 0.5, top + height / 2 - 0.5])
    middle = np.array([(w - 1) / 2, (h - 1) / 2])
    return _matrix(turn, centre - turn @ middle)


def inverse(matrix: Matrix) -> Matrix:
    """The matrix that goes the other way: from the image to the crop."""
    turn = np.linalg.inv(matrix[:, :2])
    return _matrix(turn, -turn @ matrix[:, 2])


def _matrix(turn: NDArray[np.floating], shift: NDArray[np.floating]) -> Matrix:
    matrix = np.empty((2, 3))
    matrix[:, :2], matrix[:, 2] = turn, shift
    return matrix


def move(points: Float[Tensor, "*n 2"] | NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """Places (x, y) moved by a matrix."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def cut_out(picture: Image.Image, matrix: Matrix, size: tuple[int, int]) -> UInt8[Tensor, "3 h w"]:
    """The pixels of a crop, interpolated between those of the image; black beside it."""
    from PIL import Image

    h, w = size
    # Pillow counts from the corner of a pixel, the matrix from its centre.
    shift = matrix[:, 2] + 0.5 - matrix[:, :2] @ (0.5, 0.5)
    affine = (*matrix[0, :2], shift[0], *matrix[1, :2], shift[1])
    crop = picture.transform(
        (w, h), Image.Transform.AFFINE, tuple(map(float, affine)), Image.Resampling.BILINEAR
    )
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1).contiguous()


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """Random changes of crops.

    Args:
        scale: Standard deviation of the factor of the size, and the most that it differs from 1.
        degrees: Standard deviation of the angle in degrees; twice that is the most.
        turned: Share of the crops that are turned.
        flip: Whether half of the crops are mirrored.
    """

    scale: float
    degrees: float
    turned: float
    flip: bool


class PersonCrop(NamedTuple):
    """A crop and what is known of it.

    Attributes:
        picture: The crop's pixels, of 0 to 255.
        points: x and y of each keypoint in pixels of the crop, zeros where it is not labelled.
        labelled: 1 for each keypoint that is labelled, else 0.
        matrix: The matrix from the crop to the image; see `Matrix`.
        number: Number of the person.
    """

    picture: UInt8[Tensor, "*b 3 h w"]
    points: Float32[Tensor, "*b k 2"]
    labelled: Float32[Tensor, "*b k"]
    matrix: Float64[Tensor, "*b 2 3"]
    number: Tensor


@dataclass(frozen=True, eq=False)
class PersonCrops:
    """People cut out of their images; see `Samples`.

    Args:
        coco: The images.
        people: Who is cut out.
        size: Height and width of a crop.
        margin: Sides of a crop, in those of the box.
        partners: For each keypoint the one it is in the mirror.
        jitter: Random changes; None for evaluation.
    """

    coco: CocoSet
    people: Sequence[Person]
    size: tuple[int, int]
    margin: float
    partners: Sequence[int]
    jitter: Jitter | None = None

    def __len__(self) -> int:
        return len(self.people)

    def sample(self, index: int, seed: int) -> PersonCrop:
        person = self.people[index]
        image = self.coco.images[person.image]
        picture = open_rgb(self.coco.path(person.image), (image.width, image.height))
        scale, degrees, mirrored = 1.0, 0.0, False
        if self.jitter is not None:
            random, jitter = np.random.default_rng(seed), self.jitter
            scale = 1 + jitter.scale * float(np.clip(random.normal(), -1, 1))
            angle = jitter.degrees * float(np.clip(random.normal(), -2, 2))
            degrees = angle if random.random() < jitter.turned else 0.0
            mirrored = jitter.flip and random.random() < 0.5
        matrix = crop_matrix(
            person.box, self.size, margin=self.margin, scale=scale, degrees=degrees, mirrored=mirrored
        )
        points, labelled = person.points, person.labelled
        if mirrored:
            points, labelled = points[list(self.partners)], labelled[list(self.partners)]
        positions = move(points, inverse(matrix)) * labelled[:, None]
        return PersonCrop(
            cut_out(picture, matrix, self.size),
            torch.from_numpy(positions.astype(np.float32)),
            torch.from_numpy(labelled.astype(np.float32)),
            torch.from_numpy(matrix),
            torch.tensor(index),
        )


def collate_crops(crops: list[PersonCrop]) -> PersonCrop:
    """Stacks crops."""
    return PersonCrop(*(torch.stack(parts) for parts in zip(*crops)))
