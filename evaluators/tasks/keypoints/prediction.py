"""The poses that a network sees in an image, and the image as it wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from evaluators.data.picture import as_rgb
from evaluators.data.pixels import normalized
from evaluators.evaluating import evaluating
from evaluators.tasks import Prediction
from evaluators.tasks.keypoints.mirror import mirror_partners
from evaluators.tasks.keypoints.person_crops import crop_matrix, cut_out
from evaluators.tasks.keypoints.poses import SEEN, find_poses

if TYPE_CHECKING:
    from PIL import Image

    from evaluators.tasks.keypoints import Keypoints


def predict(
    config: Keypoints,
    network: nn.Module,
    data: Mapping[str, Any],
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
) -> Prediction:
    """Draws the poses that a network sees; see `Keypoints.predict`."""
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
    from torchvision.utils import draw_keypoints

    picture = as_rgb(image)
    people = [tuple(map(float, box)) for box in boxes] or [(0.0, 0.0, *map(float, picture.size))]
    matrices = np.stack([crop_matrix(box, config.image_size, margin=config.crop_margin) for box in people])
    crops = torch.stack([cut_out(picture, matrix, config.image_size) for matrix in matrices])
    weight = next(network.parameters())
    inputs = normalized(crops, weight.device, weight.dtype)
    names = data["keypoints"]
    partners = mirror_partners(names) if config.flip_test else None
    with evaluating(network) as ask:
        poses = find_poses(ask, inputs, matrices, range(len(people)), partners, config.decode, config.sigma)
    drawn = draw_keypoints(
        pil_to_tensor(picture),
        torch.from_numpy(np.stack([pose.points for pose in poses])),
        connectivity=[(first - 1, second - 1) for first, second in data["skeleton"]],
        colors="lime",
        radius=max(2, min(picture.size) // 100),
        visibility=torch.from_numpy(np.stack([pose.heights > SEEN for pose in poses])),
    )
    found = [
        {
            "box": [round(value, 1) for value in box],
            "score": round(pose.score, 4),
            "keypoints": {
                name: [round(float(value), 3) for value in (*pose.points[k], pose.heights[k])]
                for k, name in enumerate(names)
            },
        }
        for box, pose in zip(people, poses)
    ]
    return Prediction(to_pil_image(drawn), found)


def prepared(config: Keypoints, picture: Image.Image, network: nn.Module) -> Tensor:
    """An image that one person fills, cropped and normalised, (1, 3, h, w)."""
    whole = crop_matrix((0.0, 0.0, *map(float, picture.size)), config.image_size, margin=config.crop_margin)
    weight = next(network.parameters())
    return normalized(cut_out(picture, whole, config.image_size)[None], weight.device, weight.dtype)
