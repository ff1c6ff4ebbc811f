"""What a detector found: as COCO's records, as a list for people, and drawn."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from evaluators.data.coco import CocoSet
from evaluators.data.picture import as_rgb
from evaluators.evaluating import evaluating

if TYPE_CHECKING:
    from PIL import Image


def as_records(
    output: Mapping[str, Tensor], whole: CocoSet, index: int, first_label: int
) -> list[dict[str, Any]]:
    """The detections of one image, as COCO's result files have them.

    Args:
        output: `boxes` (left, top, right, bottom), `labels` and `scores`.
        whole: The set that the image is of.
        index: Index of the image in that set.
        first_label: Label of the first category.
    """
    return [
        {
            "image_id": whole.images[index].id,
            "category_id": whole.categories[label - first_label].id,
            "bbox": box,
            "score": score,
        }
        for box, label, score in _plain(output)
        if label >= first_label
    ]


def _plain(output: Mapping[str, Tensor]) -> list[tuple[list[float], int, float]]:
    """Box (left, top, width and height), label and score of each."""
    boxes = output["boxes"].detach().double().cpu()
    sides = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
    return list(zip(sides.tolist(), output["labels"].tolist(), output["scores"].double().tolist()))


def to_list(
    network: nn.Module, image: Image.Image, classes: Sequence[str], first_label: int
) -> list[dict[str, Any]]:
    """Finds objects in an image: `class`, `score` and `box` (left, top, width, height) of each, best first.

    Args:
        network: The detector.
        image: An image of any mode.
        classes: Names by label.
        first_label: Label of the first class.
    """
    parameter = next(network.parameters())
    pixels = torch.from_numpy(np.asarray(as_rgb(image)).transpose(2, 0, 1).copy())
    with evaluating(network) as ask:
        (output,) = ask([pixels.to(parameter.device, parameter.dtype) / 255])
    found = [
        {
            "class": classes[label - first_label],
            "score": round(score, 4),
            "box": [round(side, 2) for side in box],
        }
        for box, label, score in _plain(output)
        if label >= first_label
    ]
    return sorted(found, key=lambda each: -each["score"])


def draw(picture: Image.Image, found: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Image.Image:
    """A copy of an image with boxes and their classes and scores on it; a class keeps its colour."""
    from PIL import Image
    from torchvision.utils import draw_bounding_boxes

    pixels = torch.from_numpy(np.asarray(as_rgb(picture)).transpose(2, 0, 1).copy())
    if not found:
        return Image.fromarray(pixels.permute(1, 2, 0).numpy())
    corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in (each["box"] for each in found)])
    drawn = draw_bounding_boxes(
        pixels,
        corners,
        labels=[f"{each['class']} {each['score']:.2f}" for each in found],
        colors=[_colour(list(classes).index(each["class"]), len(classes)) for each in found],
        width=max(1, round(max(picture.size) / 300)),
    )
    return Image.fromarray(drawn.permute(1, 2, 0).numpy())


def _colour(number: int, count: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number / count, 0.9, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)
