"""Images with boxes, one at a time, changed at random for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluators.data.coco import CocoSet
from evaluators.data.coco_boxes import boxes_to_train
from evaluators.data.picture import open_rgb
from evaluators.tasks.coco_detection import Changes


class BoxSample(NamedTuple):
    """An image and what is on it.

    Attributes:
        image: uint8, (3, h, w).
        boxes: Left, top, right and bottom in pixels, float32, (n, 4).
        labels: Class of each box, counted from 0, (n,).
        number: Number of the image in its set, from 0.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    number: int


class BoxSamples:
    """The images of a set, with the boxes that training learns from.

    Sources: flips as everywhere; "ssd" is the chain of Liu et al., "SSD", ECCV 2016 (arXiv:1512.02325,
    section 2.2): colours, a larger canvas, crops that overlap an object, a flip, by torchvision's transforms.

    Args:
        found: The set.
        changes: What happens to an image.
    """

    def __init__(self, found: CocoSet, changes: Changes) -> None:
        self.found = found
        self.changes: Changes = changes
        labels = found.labels
        self._boxes, self._labels = list[Tensor](), list[Tensor]()
        for image, marked in zip(found.images, found.annotations):
            kept = boxes_to_train(image, marked)
            corners = [(x, y, x + w, y + h) for x, y, w, h in (annotation.bbox for annotation in kept)]
            self._boxes.append(torch.tensor(corners, dtype=torch.float32).view(-1, 4))
            self._labels.append(torch.tensor([labels[a.category_id] for a in kept], dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.found)

    def with_boxes(self) -> BoxSamples:
        """The images that have a box to learn from."""
        indices = [index for index, boxes in enumerate(self._boxes) if len(boxes)]
        return self.select(indices)

    def select(self, indices: Sequence[int]) -> BoxSamples:
        """The images at `indices`, in that order."""
        return BoxSamples(self.found.select(indices), self.changes)

    def sample(self, index: int, seed: int) -> BoxSample:
        listed = self.found.images[index]
        picture = open_rgb(self.found.path(index), (listed.width, listed.height))
        pixels = torch.from_numpy(np.array(picture))
        boxes, labels = self._boxes[index], self._labels[index]
        if self.changes == "ssd":
            changed = _changed(pixels.permute(2, 0, 1).contiguous(), boxes, labels, seed)
            return BoxSample(*changed, index)
        if self.changes == "flip" and _half(seed):
            pixels = pixels.flip(1)
            left, top, right, bottom = boxes.unbind(1)
            boxes = torch.stack((listed.width - right, top, listed.width - left, bottom), 1)
        return BoxSample(pixels.permute(2, 0, 1), boxes, labels, index)


def _half(seed: int) -> bool:
    return bool(torch.rand((), generator=torch.Generator().manual_seed(seed)) < 0.5)


def _changed(image: Tensor, boxes: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """SSD's chain; torchvision's transforms draw from torch's random state, which comes back after them."""
    from torchvision import tv_tensors

    height, width = image.shape[1:]
    given: dict[str, Any] = {
        "image": tv_tensors.Image(image),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),  # pyright: ignore[reportCallIssue]
        "labels": labels,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = _ssd()(given)
    return found["image"].as_subclass(Tensor), found["boxes"].as_subclass(Tensor), found["labels"]


def _ssd() -> Any:
    from torchvision.transforms import v2

    # The canvas has ImageNet's mean colour.
    fill = [123.0, 117.0, 104.0]
    return v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill=fill),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
        ]
    )


def as_list(samples: Sequence[BoxSample]) -> list[BoxSample]:
    """A batch of images that differ in size."""
    return list(samples)
