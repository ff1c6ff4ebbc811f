"""Settings of networks beyond classification; this loads no PyTorch."""

from __future__ import annotations

from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError, unknown
from supernet.resnets import RESNETS

Head = Literal["fcn", "deeplabv3"]
"""What reads the last stage of a segmentation network: torchvision's FCN or DeepLabV3."""


@config
class DetectorConfig:
    """Settings of a detector."""

    name: str = "faster_rcnn"
    """Name of the detector: faster_rcnn or retinanet, both with a feature pyramid, or ssd300."""
    backbone: str = "resnet50"
    """Name of the ResNet that attention is attached to, resnet18, 34, 50, 101 or 152, or a wide one; deeper
    costs more time and memory."""
    trainable_stages: int = 5
    """Parts of the backbone that learn, counted from its end among its stem and 4 stages: 3 keeps the stem
    and the first stage as they came with the weights. Attention learns everywhere."""
    min_sizes: tuple[int, ...] = (800,)
    """Shorter side in pixels that images are resized to: one of these is drawn for each training image, the
    last one is taken in evaluation. Larger finds smaller objects and costs more; ssd300 has a size of its
    own."""
    max_size: int = 1333
    """Most pixels of an image's longer side; the shorter one is made smaller where it would be more."""
    regions: int = 512
    """Regions of an image that the second part of faster_rcnn learns from, a quarter of them objects; more
    need more memory."""

    def __post_init__(self) -> None:
        rules.pixels(self, "max_size")
        rules.positive(self, "regions")
        if self.regions < 4:
            raise InputError(f"regions={self.regions}: give at least 4, a quarter of which are objects")
        if self.backbone not in RESNETS:
            raise unknown("backbone of a detector", self.backbone, RESNETS)
        if not 0 <= self.trainable_stages <= 5:
            raise InputError(f"trainable_stages={self.trainable_stages} is not in 0 ... 5")
        sizes = ", ".join(map(str, self.min_sizes))
        if not self.min_sizes or min(self.min_sizes) < 32 or self.max_size < max(self.min_sizes):
            raise InputError(
                f"min_sizes {sizes or 'none'} and max_size {self.max_size}: give sizes from 32 up, the "
                "longest side not below the shorter ones"
            )
