"""A ResNet of one block a stage and 4 to 32 channels: for what is started and killed many times."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from supernet.backbones import BACKBONES


@BACKBONES.register("narrow_resnet")
def build_narrow_resnet(*, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """Torchvision's ResNet-10 with a sixteenth of the channels."""
    network = _Narrow(BasicBlock, [1, 1, 1, 1])
    network.fc = nn.Linear(32, num_classes)
    return network


class _Narrow(ResNet):
    def _make_layer(self, block: Any, planes: int, *args: Any, **options: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 16, *args, **options)
