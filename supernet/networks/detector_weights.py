"""torchvision's trained detectors: their names, and what has to change for them to serve here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS

WHOLE_NAMES = ("COCO_V1", "DEFAULT", "pretrained")
"""Names of weights that are a whole detector's, where torchvision has them."""

_WHOLE = {"faster_rcnn": "fasterrcnn_resnet50_fpn", "retinanet": "retinanet_resnet50_fpn"}
"""Detectors that torchvision has trained on COCO, on resnet50."""

_OF_CLASSES = {
    "faster_rcnn": {"roi_heads.box_predictor.cls_score": 1, "roi_heads.box_predictor.bbox_pred": 4},
    "retinanet": {"head.classification_head.cls_logits": 1},
}
"""Layers of each detector with that many rows for every class."""


def published_names(config: DetectorConfig) -> tuple[str, ...]:
    """Names of torchvision's weights that fit: the whole detector's, if there are any, and its ResNet's."""
    whole = _WHOLE.get(config.name) if config.backbone == "resnet50" else None
    return (whole, config.backbone) if whole else (config.backbone,)


def fit_published(
    weights: Mapping[str, Tensor], config: DetectorConfig, network: nn.Module, ids: Sequence[int]
) -> Mapping[str, Tensor]:
    """Weights of torchvision's detector as ours counts classes and normalises; others as they are.

    torchvision's detectors have a class for each of COCO's category ids, those with no category included: the
    rows of the ids at hand are taken, after the background's where there is one. Their norms add nothing to
    the variance, which is made up for.

    Args:
        weights: As they were read.
        config: What the detector is.
        network: The detector.
        ids: Category id of each class.
    """
    if not set(_OF_CLASSES.get(config.name, {"": 0})) <= {key.rpartition(".")[0] for key in weights}:
        return weights
    eps = {
        f"{name}.running_var": module.eps
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    fitted = {key: value - eps[key] if key in eps else value for key, value in weights.items()}
    rows = torch.tensor([0, *ids] if DETECTORS[config.name].first_label else list(ids))
    for layer, each in _OF_CLASSES[config.name].items():
        for key in (f"{layer}.weight", f"{layer}.bias"):
            value = fitted[key]
            # RetinaNet's rows are grouped by anchor: classes come last.
            by_class = value.view(-1, 91, each, *value.shape[1:])
            fitted[key] = by_class[:, rows].flatten(0, 2)
    return fitted
