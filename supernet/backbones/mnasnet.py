"""torchvision's MnasNets, unchanged: same keys, same outputs from the same weights.

Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019
(arXiv:1807.11626).
"""

from __future__ import annotations

from functools import partial

from torch import nn

from supernet.backbones import BACKBONES, fixed_width


def _build(member: str, *, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """torchvision's; the number in the name is the factor of the width."""
    from torchvision import models

    fixed_width(name, width)
    model = getattr(models, member)(num_classes=num_classes)
    stem = model.layers[0]
    if in_channels != stem.in_channels:
        model.layers[0] = nn.Conv2d(in_channels, stem.out_channels, 3, 2, padding=1, bias=False)
    return model


for member in ("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"):
    BACKBONES.add(member, partial(_build, member))
