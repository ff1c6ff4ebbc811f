"""Faster R-CNN with a feature pyramid, torchvision's: same keys, same outputs from the same weights.

Source: Ren et al., "Faster R-CNN", NeurIPS 2015 (arXiv:1506.01497); Lin et al., "Feature Pyramid Networks for
Object Detection", CVPR 2017 (arXiv:1612.03144). Anchors of one size a level and three ratios, 256 of them and
512 regions an image to learn from, suppression at 0.7, 2000 (1000 in evaluation) proposals.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from supernet.networks.detectors import DETECTORS, Detector, DetectorConfig, norm_layer


def build_faster_rcnn(config: DetectorConfig, num_classes: int) -> nn.Module:
    """A Faster R-CNN; label 0 is the background."""
    backbone = resnet_fpn_backbone(
        backbone_name=config.backbone,
        weights=None,
        norm_layer=norm_layer(config.norm),
        trainable_layers=config.trainable_stages,
    )
    # torchvision's stubs say int, its code takes several.
    sizes: int = list(config.min_sizes)  # pyright: ignore[reportAssignmentType]
    return FasterRCNN(backbone, num_classes + 1, min_size=sizes, max_size=config.max_size)


DETECTORS.add("faster_rcnn", Detector(build=build_faster_rcnn, first_label=1))
