"""Wide residual networks for small images.

Source: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146). Shortcuts have no
weights, as the 36.3 M of Bello et al. (arXiv:1904.09925, table 1) ask: 1x1 convolutions would give 36.5 M.
"""

from __future__ import annotations

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.backbones import BACKBONES, CIFAR


class WideBlock(nn.Module):
    """x + conv(relu(BN(conv(relu(BN(x)))))), 3x3 convolutions, norms before them.

    Where the widths differ, the shortcut takes every `stride`-th position and adds channels of zeros
    (He et al., arXiv:1512.03385, option A).

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output, at least as many.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.stride, self.added = stride, channels - in_channels

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h2 w2"]:
        y = self.conv1(self.bn1(x).relu())
        y = self.conv2(self.bn2(y).relu())
        return y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


class WideResNet(nn.Module):
    """Stem 3x3, three stages of blocks, BN, global mean, linear classifier.

    Args:
        num_blocks: Blocks of each stage; every stage after the first halves the map and doubles the width.
        num_classes: Outputs.
        in_channels: Channels of the images.
        width: Channels of the first stage; those of the stem are 16, or as many if fewer.
    """

    def __init__(self, num_blocks: int, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        channels = min(16, width)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        stages = list[nn.Module]()
        for stage in range(3):
            blocks = list[nn.Module]()
            for block in range(num_blocks):
                blocks.append(WideBlock(channels, width * 2**stage, 2 if stage and not block else 1))
                channels = width * 2**stage
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b num_classes"]:
        y = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(self.bn1(y).relu().mean((2, 3)))


def _build(
    depth: int, factor: int, *, num_classes: int, in_channels: int, width: int | None, name: str
) -> nn.Module:
    """Wide blocks for small images; depth and factor of the width in the name; --width takes another."""
    return WideResNet((depth - 4) // 6, num_classes, in_channels, 16 * factor if width is None else width)


for depth, factor in ((16, 2), (16, 4), (28, 10)):
    BACKBONES.add(f"wide_resnet{depth}_{factor}", partial(_build, depth, factor), usual=CIFAR)
