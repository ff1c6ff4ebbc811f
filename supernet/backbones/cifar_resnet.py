"""Residual networks for small images.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2
(arXiv:1512.03385); shortcuts and the 34-layer net as in the public AutoLA code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from supernet.backbones import BACKBONES, CIFAR


class BasicBlock(nn.Module):
    """relu(BN(conv(relu(BN(conv(x))))) + shortcut(x)), 3x3 convolutions.

    The shortcut is 1x1 convolution and BN where the widths differ, the identity otherwise.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.drop_path: nn.Module = nn.Identity()

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h2 w2"]:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (self.drop_path(y) + self.downsample(x)).relu()


class CifarResNet(nn.Module):
    """Stem 3x3, stages of basic blocks, global mean, linear classifier.

    Args:
        num_blocks: Blocks of each stage; every stage after the first halves the map and doubles the width.
        num_classes: Outputs.
        in_channels: Channels of the images.
        width: Channels of the first stage.
    """

    def __init__(self, num_blocks: Sequence[int], num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        self.num_stages = len(num_blocks)
        for stage, depth in enumerate(num_blocks):
            blocks = list[nn.Module]()
            for block in range(depth):
                out = width * 2**stage
                blocks.append(BasicBlock(channels, out, 2 if stage and not block else 1))
                channels = out
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b num_classes"]:
        y = self.bn1(self.conv1(x)).relu()
        for stage in range(self.num_stages):
            y = self.get_submodule(f"layer{stage + 1}")(y)
        return self.fc(y.mean((2, 3)))


def _build(
    num_blocks: Sequence[int],
    *,
    num_classes: int,
    in_channels: int,
    width: int | None,
    name: str,
) -> nn.Module:
    """Basic blocks for small images; 16 channels at first, or --width."""
    return CifarResNet(num_blocks, num_classes, in_channels, 16 if width is None else width)


for depth in (8, 14, 20, 32, 44, 56, 110):
    BACKBONES.add(f"cifar_resnet{depth}", partial(_build, [(depth - 2) // 6] * 3), usual=CIFAR)

# The net that the public search script really builds: four stages, 16 to 128 channels.
BACKBONES.add("cifar_resnet34", partial(_build, [3, 4, 6, 3]), usual=CIFAR)
