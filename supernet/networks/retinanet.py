"""RetinaNet, torchvision's: same keys, same outputs from the same weights.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017 (arXiv:1708.02002). The pyramid goes
from a stride of 8 to one of 128; its last two levels are computed from the pyramid, not from layer4.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS, Detector

WIDTH = 256
"""Channels of the pyramid."""


class PyramidRetinaNet(RetinaNet):
    """torchvision's RetinaNet, with a method `raw` for what its layers say."""

    def raw(self, images: Float[Tensor, "b 3 h w"]) -> dict[str, Any]:
        """Scores (b, anchors, classes), before the sigmoid, and offsets (b, anchors, 4)."""
        return self.head(list(self.backbone(images).values()))


def build_retinanet(config: DetectorConfig, num_classes: int) -> nn.Module:
    """A RetinaNet; the background has no label."""
    backbone = resnet_fpn_backbone(
        backbone_name=config.backbone,
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=config.trainable_stages,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(WIDTH, WIDTH),
    )
    # torchvision's signature says int, its code takes several.
    sizes: Any = list(config.min_sizes)
    return PyramidRetinaNet(backbone, num_classes, min_size=sizes, max_size=config.max_size)


DETECTORS.add(
    "retinanet",
    Detector(build=build_retinanet, first_label=0, losses=("classification", "bbox_regression")),
)
