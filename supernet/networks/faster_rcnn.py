"""Faster R-CNN with a feature pyramid, torchvision's: same keys, same outputs from the same weights.

Source: Ren et al., "Faster R-CNN", NeurIPS 2015 (arXiv:1506.01497); Lin et al., "Feature Pyramid Networks for
Object Detection", CVPR 2017 (arXiv:1612.03144). Anchors of one size a level and three ratios, 256 of them and
512 regions an image to learn from, suppression at 0.7, 2000 proposals a level (1000 in evaluation).
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS, Detector

REGIONS = 1000
"""Regions that are looked at in evaluation, at most: costs are counted with so many."""


class PyramidFasterRCNN(FasterRCNN):
    """torchvision's Faster R-CNN, with a method `raw` for what its layers say."""

    def raw(self, images: Float[Tensor, "b 3 h w"]) -> dict[str, Any]:
        """Scores and offsets of all anchors, level by level, and of `REGIONS` empty regions an image."""
        rpn: Any = self.rpn
        heads: Any = self.roi_heads
        maps = list(self.backbone(images).values())
        objectness, offsets = rpn.head(maps)
        side = heads.box_roi_pool.output_size
        regions = maps[0].new_zeros(len(images) * REGIONS, maps[0].shape[1], *side)
        scores, boxes = heads.box_predictor(heads.box_head(regions))
        return {"objectness": objectness, "offsets": offsets, "scores": scores, "boxes": boxes}


def build_faster_rcnn(config: DetectorConfig, num_classes: int) -> nn.Module:
    """A Faster R-CNN; label 0 is the background."""
    backbone = resnet_fpn_backbone(
        backbone_name=config.backbone,
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=config.trainable_stages,
    )
    # torchvision's signature says int, its code takes several.
    sizes: Any = list(config.min_sizes)
    return PyramidFasterRCNN(
        backbone,
        num_classes + 1,
        min_size=sizes,
        max_size=config.max_size,
        box_batch_size_per_image=config.regions,
    )


DETECTORS.add(
    "faster_rcnn",
    Detector(
        build=build_faster_rcnn,
        first_label=1,
        losses=("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"),
    ),
)
