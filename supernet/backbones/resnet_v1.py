"""Bottleneck residual networks as first published: the stride in the first 1x1 convolution of a block.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385); torchvision's
networks, whose keys they keep, have it in the 3x3 convolution ("v1.5").
"""

from __future__ import annotations

from functools import partial

from torch import nn

from supernet.backbones import BACKBONES, build_backbone, fixed_width


def _build(member: str, *, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """As first published, with the stride in the first 1x1 convolution; 64 channels at first."""
    from torchvision.models.resnet import Bottleneck

    fixed_width(name, width)
    model = build_backbone(member, num_classes=num_classes, in_channels=in_channels)
    for module in model.modules():
        if isinstance(module, Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return model


for member in ("resnet50", "resnet101", "resnet152"):
    BACKBONES.add(f"{member}_v1", partial(_build, member))
