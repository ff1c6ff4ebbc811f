"""Counts of true and predicted classes, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor


def confusion_matrix(
    labels: Int64[Tensor, "*pixels"], predictions: Int64[Tensor, "*pixels"], num_classes: int
) -> Int64[Tensor, "num_classes num_classes"]:
    """How many pixels of each class (rows) are taken for each class (columns), exactly.

    Args:
        labels: True classes; pixels with any other value than 0 to num_classes - 1 do not count.
        predictions: Predicted classes.
        num_classes: Classes.
    """
    counted = (labels >= 0) & (labels < num_classes)
    pairs = labels[counted] * num_classes + predictions[counted]
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def segmentation_scores(matrix: Int64[Tensor, "c c"], classes: Sequence[str]) -> dict[str, float]:
    """Shares of 1 from a confusion matrix.

    `mIoU` is the mean over classes of intersection over union (Everingham et al., IJCV 2010; Cityscapes).
    Classes that neither the labels nor the predictions have are left out: their union is empty.

    Returns:
        mIoU, accuracy (of pixels), mean_accuracy (of classes that the labels have), and IoU_<class> of each
        class that is there.
    """
    counts = matrix.double()
    right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    there = union > 0
    if not there.any():
        return {"mIoU": 0.0, "accuracy": 0.0, "mean_accuracy": 0.0}
    iou = right[there] / union[there]
    names = [name.replace(" ", "_") for name, found in zip(classes, there.tolist()) if found]
    labelled = true > 0
    scores = {
        "mIoU": iou.mean().item(),
        "accuracy": (right.sum() / counts.sum()).item(),
        "mean_accuracy": (right[labelled] / true[labelled]).mean().item(),
    }
    return scores | {f"IoU_{name}": value for name, value in zip(names, iou.tolist())}
