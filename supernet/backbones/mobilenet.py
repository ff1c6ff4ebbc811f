"""MobileNet: depthwise separable convolutions.

Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017, table 1 (arXiv:1704.04861).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from supernet.backbones import BACKBONES

BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
"""Width, in widths of the stem, and stride of each block."""


class SeparableBlock(nn.Module):
    """relu(BN(pointwise(relu(BN(depthwise 3x3(x)))))).

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Stride of the depthwise convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h2 w2"]:
        y = self.bn1(self.conv1(x)).relu()
        return self.bn2(self.conv2(y)).relu()


class MobileNet(nn.Module):
    """Stem 3x3 of stride 2, thirteen blocks, global mean, linear classifier.

    Args:
        num_classes: Outputs.
        in_channels: Channels of the images.
        width: Channels of the stem; 32 in the paper.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks = list[nn.Module]()
        channels = width
        for ratio, stride in BLOCKS:
            blocks.append(SeparableBlock(channels, ratio * width, stride))
            channels = ratio * width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b num_classes"]:
        y = self.blocks(self.bn1(self.conv1(x)).relu())
        return self.fc(y.mean((2, 3)))


@BACKBONES.register("mobilenet_v1")
def _build(*, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """MobileNet of 2017; 32 channels at first, or --width."""
    return MobileNet(num_classes, in_channels, 32 if width is None else width)
