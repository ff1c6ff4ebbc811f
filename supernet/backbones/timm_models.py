"""Any classifier of timm by its name there: `timm:resnet50`."""

from __future__ import annotations

from torch import nn

from foundation.errors import unknown
from supernet.backbones import BACKBONES, fixed_width


@BACKBONES.register("timm:")
def _build(*, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
    """Any classifier of timm by its name there: timm:NAME."""
    import timm

    fixed_width(f"timm:{name}", width)
    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())
    return timm.create_model(name, num_classes=num_classes, in_chans=in_channels)
