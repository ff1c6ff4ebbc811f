"""Poses in images: read off a network's heat maps, and handed to COCO's evaluation.

Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018 (arXiv:1804.06208);
the two thresholds are those of the authors' code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evaluators.data.coco import CocoSet
from evaluators.tasks.keypoints.decode import Decode
from evaluators.tasks.keypoints.heat_maps import find_peaks, mirror_maps, to_pixels
from evaluators.tasks.keypoints.oks import suppress
from evaluators.tasks.keypoints.people import Person
from evaluators.tasks.keypoints.person_crops import move
from supernet.networks.pose import STRIDE

SEEN = 0.2
"""Height of a peak from which a keypoint counts in the score of its pose."""

ALIKE = 0.9
"""Similarity above which the worse of two poses of an image is dropped."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose that was found.

    Attributes:
        number: Number of the person that was looked at.
        points: x and y of each keypoint in pixels of the image, (k, 2).
        heights: Height of each keypoint's peak in its heat map, (k,).
        area: Area of the crop, in square pixels of the image.
    """

    number: int
    points: NDArray[np.float64]
    heights: NDArray[np.float64]
    area: float

    @property
    def score(self) -> float:
        """Mean height of the peaks that are seen; 0 if none is."""
        seen = self.heights[self.heights > SEEN]
        return float(seen.mean()) if len(seen) else 0.0


def find_poses(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    matrices: NDArray[np.float64],
    numbers: Sequence[int],
    partners: Sequence[int] | None,
    decode: Decode = "quarter",
    sigma: float = 2.0,
) -> list[Pose]:
    """The poses of some crops.

    Args:
        model: Images to heat maps, in eval mode.
        images: Crops, normalised, (b, 3, h, w).
        matrices: Where they lie in their images, (b, 2, 3); see `crop_matrix`.
        numbers: Number of each person.
        partners: For each keypoint the one it is in the mirror, to take the mean with the maps of the mirror
            images; None to do without.
        decode: How peaks are refined.
        sigma: Standard deviation of the Gaussians that the network learnt, in cells.
    """
    maps = model(images)
    if partners is not None:
        maps = (maps + mirror_maps(model(images.flip(-1)), list(partners))) / 2
    cells, heights = find_peaks(maps.double().cpu(), decode, sigma)
    pixels, peaks = to_pixels(cells, STRIDE).numpy(), heights.numpy()
    h, w = images.shape[-2:]
    return [
        Pose(
            number,
            move(pixels[index], matrices[index]),
            peaks[index],
            float(abs(np.linalg.det(matrices[index][:, :2]))) * h * w,
        )
        for index, number in enumerate(numbers)
    ]


def coco_results(
    poses: Sequence[Pose], people: Sequence[Person], coco: CocoSet, category: int
) -> list[dict[str, Any]]:
    """Poses in COCO's result format, in the order of the persons, without those too like a better one.

    A pose scores what its person's box scored, times the mean height of its peaks.

    Args:
        poses: In any order.
        people: Who was looked at.
        coco: The images.
        category: Id of persons.
    """
    by_image = defaultdict[int, list[Pose]](list)
    for pose in sorted(poses, key=lambda pose: pose.number):
        by_image[people[pose.number].image].append(pose)
    results = list[dict[str, Any]]()
    for image, found in by_image.items():
        scores = np.array([people[pose.number].score * pose.score for pose in found])
        points, areas = np.stack([pose.points for pose in found]), np.array([pose.area for pose in found])
        results += [
            {
                "image_id": coco.images[image].id,
                "category_id": category,
                "keypoints": np.column_stack((found[kept].points, found[kept].heights)).flatten().tolist(),
                "score": float(scores[kept]),
            }
            for kept in suppress(points, areas, scores, ALIKE)
        ]
    return results
