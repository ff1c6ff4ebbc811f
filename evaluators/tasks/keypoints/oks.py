"""Object keypoint similarity between poses, and suppression of those that are too alike.

Source: Lin et al., COCO's keypoint evaluation (cocodataset.org/#keypoints-eval); suppression as in Papandreou
et al., CVPR 2017 (arXiv:1701.01779), with the areas of the authors' code of Xiao et al. (arXiv:1804.06208):
those of the crops.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foundation.errors import listed

log = logging.getLogger(__name__)

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""COCO's deviations of human annotators, for its 17 keypoints, as shares of the root of the area."""


_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ("nose", *(f"{side} {part}" for part in _SIDED for side in ("left", "right")))
"""COCO's keypoints, in the order of `SIGMAS`."""


def log_strangers(names: Sequence[str]) -> None:
    """Logs in a line which keypoints are not COCO's of the same index: the score takes them for these."""
    pairs = [
        f"{name} as {wanted.replace(' ', '_')}"
        for name, wanted in zip(names, NAMES)
        if _words(name) != {*wanted.split()}
    ]
    if pairs:
        log.warning(
            "keypoints are not COCO's in their order, and the score takes them for these: %s",
            listed(pairs, 4),
        )


def _words(name: str) -> set[str]:
    """Words of a name in small letters; l and r are sides, which may be joined to the rest."""
    apart = re.sub(r"(?i)(left|right)", r" \1 ", name)
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", apart)]
    return {"left" if word == "l" else "right" if word == "r" else word for word in words}


def similarity(
    pose: NDArray[np.float64], area: float, others: NDArray[np.float64], areas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Similarity of a pose to others, 0 to 1, each with the mean of both areas as its scale.

    Args:
        pose: x and y, (17, 2).
        area: Area of the pose, in square pixels.
        others: (n, 17, 2).
        areas: (n,).
    """
    distances = ((others - pose) ** 2).sum(-1)
    scale = (area + areas) / 2 + np.spacing(1)
    return np.exp(-distances / (2 * (2 * SIGMAS) ** 2) / scale[:, None]).mean(1)


def suppress(
    poses: NDArray[np.float64], areas: NDArray[np.float64], scores: NDArray[np.float64], limit: float
) -> list[int]:
    """Numbers of the poses to keep, best first: those that are not more than `limit` like a better one."""
    waiting = np.argsort(-scores, kind="stable")
    kept = list[int]()
    while len(waiting):
        best, rest = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = rest[similarity(poses[best], areas[best], poses[rest], areas[rest]) <= limit]
    return kept
