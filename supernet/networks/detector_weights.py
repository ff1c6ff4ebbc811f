"""Trained weights of a detector or of its backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from supernet.networks.detectors import DETECTORS, DetectorConfig
from supernet.starting_weights import read_weights, start_from

BODY = "backbone.body."
"""Beginning of a detector's keys of its ResNet."""

_UNUSED = ("fc.", "layer4.")
"""Of a classifier: no detector has its last layer, and ssd300 not its last stage."""

_OF_CLASSES = {
    "faster_rcnn": {"roi_heads.box_predictor.cls_score": 1, "roi_heads.box_predictor.bbox_pred": 4},
    "retinanet": {"head.classification_head.cls_logits": 1},
}
"""Layers with so many rows a class, of those detectors that torchvision has trained on COCO."""


def start_detector(network: nn.Module, config: DetectorConfig, weights: str, ids: Sequence[int]) -> None:
    """Gives a detector trained weights, in place: those of its backbone, or of the whole.

    torchvision's detectors have a class for each of COCO's category ids, those with no category included: the
    rows of the ids at hand are taken. Their norms add nothing to the variance, which is made up for.

    Args:
        network: The detector, with or without attention.
        config: What it is.
        weights: A file, a run folder, IMAGENET1K_V1 or its like (of the backbone), or COCO_V1 (of the whole,
            only resnet50).
        ids: Category id of each class.

    Raises:
        InputError: If there are no such weights, or they are of another network, attention or number of
            classes.
    """
    state = read_weights(weights, lambda: _published(config))
    if not any(key.startswith(BODY) for key in state):
        body: Any = network.get_submodule(BODY.rstrip("."))
        start_from(body, state, weights, unused=_UNUSED)
        return
    if config.name in _OF_CLASSES and weights == "COCO_V1":
        state = _of_categories(state, config.name, ids)
        eps = {
            f"{name}.running_var": module.eps
            for name, module in network.named_modules()
            if isinstance(module, nn.BatchNorm2d)
        }
        state = {key: value - eps[key] if key in eps else value for key, value in state.items()}
    start_from(network, state, weights)


def _published(config: DetectorConfig) -> list[Any]:
    """Weights of torchvision for a detector and for its backbone."""
    from torchvision.models import get_model_weights

    entries: list[Any] = list(get_model_weights(config.backbone))
    if config.name in _OF_CLASSES and config.backbone == "resnet50":
        whole = {"faster_rcnn": "fasterrcnn_resnet50_fpn", "retinanet": "retinanet_resnet50_fpn"}
        entries += list(get_model_weights(whole[config.name]))
    return entries


def _of_categories(state: dict[str, Tensor], name: str, ids: Sequence[int]) -> dict[str, Tensor]:
    """The rows of the background, where there is one, and of some category ids."""
    rows = torch.tensor([0, *ids] if DETECTORS[name].first_label else list(ids))
    picked = dict(state)
    for layer, each in _OF_CLASSES[name].items():
        for key in (f"{layer}.weight", f"{layer}.bias"):
            value = state[key]
            # RetinaNet's rows are grouped by anchor: classes come last.
            by_class = value.view(-1, 91, each, *value.shape[1:])
            picked[key] = by_class[:, rows].flatten(0, 2)
    return picked
