"""SSD300 on a ResNet without its last stage.

Source: Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016 (arXiv:1512.02325), in the form that the
supplement of Ma et al., "Auto Learning Attention", NeurIPS 2020, describes, NVIDIA's SSD300 v1.1: conv5_x,
pooling and classifier removed, all strides of conv4_x 1, batch norms after each convolution of the heads.
Read as in NVIDIA's public model: those convolutions are the ten after the backbone; the last ones, which give
scores and offsets, have no norms. Stages are called layer1 to layer4 here, and conv4_x is layer3.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models
from torchvision.models import ResNet
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

from foundation.errors import InputError
from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS, Detector

SIZE = 300
"""Height and width of an image; each side is stretched to it."""

RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
STRIDES = (8, 16, 32, 64, 100, 300)
"""Default boxes of the six maps, those of the source's COCO setting."""

BLOCKS = ((256, 512, 2), (256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1))
"""Hidden channels, channels and stride of each block after the backbone."""

IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's channels, which the backbone's trained weights expect."""


class ShortResNet(nn.Module):
    """A ResNet up to layer3, whose strides are 1, under the keys of the whole one."""

    def __init__(self, whole: ResNet) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = whole.conv1, whole.bn1, whole.relu, whole.maxpool
        self.layer1, self.layer2, self.layer3 = whole.layer1, whole.layer2, whole.layer3
        for module in self.layer3.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer3(self.layer2(self.layer1(x)))


class SsdMaps(nn.Module):
    """The six maps that boxes are found on: the backbone's, and one of each block after it.

    Attributes:
        out_channels: Channels of each of the maps.
    """

    def __init__(self, body: ShortResNet, channels: int) -> None:
        super().__init__()
        self.body = body
        self.out_channels = [channels, *(out for _, out, _ in BLOCKS)]
        self.extra = nn.ModuleList()
        for read, (hidden, out, stride) in zip(self.out_channels, BLOCKS):
            self.extra.append(
                nn.Sequential(
                    nn.Conv2d(read, hidden, 1, bias=False),
                    nn.BatchNorm2d(hidden),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(hidden, out, 3, stride, padding=stride - 1, bias=False),
                    nn.BatchNorm2d(out),
                    nn.ReLU(inplace=True),
                )
            )
        for module in self.extra.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> OrderedDict[str, Tensor]:
        maps = [self.body(x)]
        for block in self.extra:
            maps.append(block(maps[-1]))
        return OrderedDict((str(level), found) for level, found in enumerate(maps))


class ResNetSSD(SSD):
    """torchvision's SSD, with a method `raw` for what its layers say."""

    def raw(self, images: Float[Tensor, "b 3 h w"]) -> dict[str, Any]:
        """Scores (b, boxes, classes + 1), before the softmax, and offsets (b, boxes, 4)."""
        return self.head(list(self.backbone(images).values()))


def build_ssd300(config: DetectorConfig, num_classes: int) -> nn.Module:
    """An SSD300; label 0 is the background.

    Raises:
        InputError: If not all of the backbone is to learn.
    """
    if config.trainable_stages != 5:
        raise InputError("ssd300 trains its whole backbone; leave trainable_stages at 5")
    whole: ResNet = getattr(models, config.backbone)()
    maps = SsdMaps(ShortResNet(whole), whole.fc.in_features // 2)
    boxes = DefaultBoxGenerator([list(ratios) for ratios in RATIOS], scales=list(SCALES), steps=list(STRIDES))
    mean, std = list(IMAGE_MEAN), list(IMAGE_STD)
    return ResNetSSD(maps, boxes, (SIZE, SIZE), num_classes + 1, image_mean=mean, image_std=std)


DETECTORS.add(
    "ssd300",
    Detector(
        build=build_ssd300,
        first_label=1,
        losses=("classification", "bbox_regression"),
        size=(SIZE, SIZE),
    ),
)
