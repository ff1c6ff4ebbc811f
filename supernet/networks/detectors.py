"""Object detectors by name: a ResNet that attention is attached to, with what finds boxes on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from foundation.registry import Registry
from supernet.networks.config import DetectorConfig

BuildDetector = Callable[[DetectorConfig, int], nn.Module]
"""Builds a detector with random weights for so many classes, the background not counted."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A kind of detector.

    Its networks are torchvision's. In training mode they take images (a list of (3, h, w), values in 0 to 1)
    and targets (dicts of `boxes` (n, 4), left, top, right and bottom in pixels, and `labels` (n,)) to a dict
    of losses; in eval mode images alone to a list of dicts of `boxes`, `labels` and `scores`. Attention is
    attached to their `backbone`, whose ResNet is its `body`. A method `raw` returns what their layers say
    about images (b, 3, h, w) that are resized and normalised, before boxes are chosen: no step depends on
    what is on them, so costs can be counted and it can be exported.

    Attributes:
        build: Makes one.
        first_label: Label of the first class: 1 where 0 is the background.
        losses: Names of its losses.
        size: Height and width that it brings each image to; None where the config says.
    """

    build: BuildDetector
    first_label: int
    losses: tuple[str, ...]
    size: tuple[int, int] | None = None


DETECTORS: Registry[Detector] = Registry("detector", "supernet.networks")
