"""torchvision's residual networks, unchanged: same keys, same outputs from the same weights.

Source: He et al. (arXiv:1512.03385) with the stride in the 3x3 convolution ("v1.5"); Zagoruyko and
Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146).
"""

from __future__ import annotations

from functools import partial

from torch import nn

from supernet.backbones import BACKBONES, fixed_width
from supernet.resnets import RESNETS


def _build(member: str, *, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """torchvision's, with the stride in the 3x3 convolution; 64 channels at first."""
    from torchvision import models

    fixed_width(name, width)
    model = getattr(models, member)(num_classes=num_classes)
    if in_channels != model.conv1.in_channels:
        model.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
    return model


for member in RESNETS:
    BACKBONES.add(member, partial(_build, member))
