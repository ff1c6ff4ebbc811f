"""Object detectors by name: a ResNet that attention is attached to, with what finds boxes on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import nn

from search_space.config import config
from search_space.errors import InputError, unknown
from search_space.registry import Registry

RESNETS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
"""Backbones that detectors stand on, torchvision's."""

Norm = Literal["batch", "frozen", "sync"]


@config
class DetectorConfig:
    """A detector."""

    name: str = "faster_rcnn"
    """Detector: faster_rcnn or retinanet, both with a feature pyramid, or ssd300."""
    backbone: str = "resnet50"
    """ResNet that it stands on: resnet18, 34, 50, 101 or 152, or a wide one."""
    norm: Norm = "batch"
    """Norms of the backbone: of a batch, of the batches of all processes (GPUs only), or frozen, which needs
    trained weights to start from."""
    trainable_stages: int = 5
    """Parts of the backbone that learn, counted from its end: 4 stages and the stem; 3 keeps the stem and
    the first stage as they start."""
    min_sizes: tuple[int, ...] = (800,)
    """Shorter side of an image, in pixels; one of them is drawn for a training image, and the last one taken
    otherwise. The size of ssd300 is its own."""
    max_size: int = 1333
    """Longest side of an image, in pixels; the shorter one gives way."""

    def __post_init__(self) -> None:
        if self.backbone not in RESNETS:
            raise unknown("backbone of a detector", self.backbone, RESNETS)
        if not 0 <= self.trainable_stages <= 5:
            raise InputError(f"trainable_stages={self.trainable_stages} is not in 0 ... 5")
        if not self.min_sizes or min(*self.min_sizes, self.max_size) < 32:
            raise InputError(
                f"images of {self.min_sizes} to {self.max_size} pixels: give sizes of at least 32"
            )


class BuildDetector(Protocol):
    """Builds a detector with random weights.

    In training mode it takes images (a list of (3, h, w), values in 0 to 1) and targets (dicts of `boxes`
    (n, 4), left, top, right and bottom in pixels, and `labels` (n,)) to a dict of losses; in eval mode images
    alone to a list of dicts with `boxes`, `labels` and `scores`.
    """

    def __call__(self, config: DetectorConfig, num_classes: int) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Detector:
    """How a detector is built.

    Attributes:
        build: Makes it for a number of classes, the background not counted.
        first_label: Label of the first class: 1 where 0 is the background.
    """

    build: BuildDetector
    first_label: int


DETECTORS: Registry[Detector] = Registry("detector", "supernet.networks")


def norm_layer(norm: Norm, *, new: bool = False) -> Callable[..., nn.Module]:
    """The class of the norms of a kind; those of `new` layers, which never come trained, are not frozen."""
    if norm == "sync":
        return nn.SyncBatchNorm
    if norm == "batch" or new:
        return nn.BatchNorm2d
    from torchvision.ops import FrozenBatchNorm2d  # slow to import, and configs are read by every command

    return FrozenBatchNorm2d
