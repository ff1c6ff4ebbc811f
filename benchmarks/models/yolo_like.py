"""Networks laid out as YOLO's are, written for this benchmark: steps with norm and activation, and a neck.

Ultralytics' own are AGPL-3.0 and not used here; `make test-yolo` tries them in an environment of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


class Step(nn.Module):
    """A convolution with norm and activation; `fuse` folds the norm into the convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))

    def forward_folded(self, x: Tensor) -> Tensor:
        """What is left to compute once the norm is folded."""
        return self.act(self.conv(x))

    def fuse(self) -> None:
        """Folds the norm into a new convolution, as libraries of detectors do before they export."""
        old, bn = self.conv, self.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        kernel, stride = old.kernel_size[0], old.stride[0]
        self.conv = nn.Conv2d(old.in_channels, old.out_channels, kernel, stride, kernel // 2)
        self.conv.weight, self.conv.bias = fuse_conv_bn_weights(
            old.weight, old.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        del self.bn
        self.forward = self.forward_folded


class Narrow(nn.Module):
    """Two steps that are added to their input where `add` says so."""

    def __init__(self, channels: int, *, add: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = Step(channels, channels // 2), Step(channels // 2, channels), add

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class Split(nn.Module):
    """Half of the channels go through blocks, and all that they give is concatenated."""

    def __init__(self, inputs: int, outputs: int, *, add: bool = True, nested: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1 = Step(inputs, outputs, 1)
        self.m = nn.ModuleList([Twofold(half) if nested else Narrow(half, add=add)])
        self.cv2 = Step(3 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(block(y[-1]) for block in self.m)
        return self.cv2(torch.cat(y, 1))


class Twofold(nn.Module):
    """Blocks in a row beside one step, concatenated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Step(channels, channels // 2, 1), Step(channels, channels // 2, 1)
        self.m = nn.Sequential(Narrow(channels // 2), Narrow(channels // 2))
        self.cv3 = Step(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class YoloLike(nn.Module):
    """A backbone of five strides, a neck that goes up once, and a convolution a scale as its head.

    Args:
        nested: Whether blocks lie within blocks, as in the later series.
    """

    def __init__(self, *, nested: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(Step(3, 16, 3, 2), Step(16, 32, 3, 2))
        self.early = Split(32, 32, nested=nested)
        self.middle = nn.Sequential(Step(32, 64, 3, 2), Split(64, 64, nested=nested))
        self.late = nn.Sequential(Step(64, 128, 3, 2), Split(128, 128, nested=nested))
        self.up = nn.Upsample(scale_factor=2.0)
        self.neck = Split(192, 64, add=False)
        self.heads = nn.ModuleList([nn.Conv2d(64, 16, 1), nn.Conv2d(128, 16, 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        middle = self.middle(self.early(self.stem(x)))
        late = self.late(middle)
        neck = self.neck(torch.cat((self.up(late), middle), 1))
        return [self.heads[0](neck), self.heads[1](late)]

    def fuse(self) -> YoloLike:
        """Folds every norm, in place."""
        for module in self.modules():
            if isinstance(module, Step):
                module.fuse()
        return self


def yolo_like(**options: Any) -> nn.Module:
    """The network in evaluation mode."""
    return YoloLike(**options).eval()
