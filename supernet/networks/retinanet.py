"""RetinaNet, torchvision's: same keys, same outputs from the same weights.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017 (arXiv:1708.02002). The pyramid goes
from a stride of 8 to one of 128.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from supernet.networks.detectors import DETECTORS, Detector, DetectorConfig, norm_layer

WIDTH = 256
"""Channels of the pyramid."""


def build_retinanet(config: DetectorConfig, num_classes: int) -> nn.Module:
    """A RetinaNet; there is no label for the background."""
    backbone = resnet_fpn_backbone(
        backbone_name=config.backbone,
        weights=None,
        norm_layer=norm_layer(config.norm),
        trainable_layers=config.trainable_stages,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(WIDTH, WIDTH),
    )
    # torchvision's stubs say int, its code takes several.
    sizes: int = list(config.min_sizes)  # pyright: ignore[reportAssignmentType]
    return RetinaNet(backbone, num_classes, min_size=sizes, max_size=config.max_size)


DETECTORS.add("retinanet", Detector(build=build_retinanet, first_label=0))
