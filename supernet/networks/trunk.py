"""The stages of a torchvision ResNet, what dense networks stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from foundation.errors import InputError
from supernet.backbones import build_backbone

WIDTH_OF_STAGE = {"layer1": 1, "layer2": 2, "layer3": 4, "layer4": 8}
"""Output channels of a stage, in those of the first."""


def trunk(
    backbone: str, outputs: Mapping[str, str], *, dilations: Mapping[str, int] | None = None
) -> tuple[Any, dict[str, int]]:
    """A backbone that returns maps of its stages in a dict.

    Keys and outputs are those of torchvision's `IntermediateLayerGetter`, on which its own dense networks
    stand: a classifier's weights load under their names, without those of `fc`.

    Args:
        backbone: Name of a torchvision ResNet.
        outputs: Stage to name in the dict that is returned, in the order of the stages.
        dilations: Stage to dilation of its 3x3 convolutions; such a stage does not halve the map. Its first
            block has half the dilation, as torchvision's `replace_stride_with_dilation` has it.

    Returns:
        The module, and the channels of each output by its name.

    Raises:
        InputError: If the backbone is no torchvision ResNet.
    """
    from torchvision.models import ResNet
    from torchvision.models._utils import IntermediateLayerGetter

    model = build_backbone(backbone, num_classes=1)
    if not isinstance(model, ResNet):
        raise InputError(
            f"backbone {backbone!r} is no torchvision ResNet; choose one, for example resnet18 or resnet50"
        )
    for stage, dilation in (dilations or {}).items():
        dilate(model.get_submodule(stage), dilation)
    first = model.fc.in_features // WIDTH_OF_STAGE["layer4"]
    channels = {name: first * WIDTH_OF_STAGE[stage] for stage, name in outputs.items()}
    return IntermediateLayerGetter(model, dict(outputs)), channels


def dilate(stage: nn.Module, dilation: int) -> None:
    """Keeps a stage of a ResNet from halving its map, and dilates its 3x3 convolutions instead, in place.

    torchvision does the same for bottlenecks only; basic blocks are treated alike.
    """
    for number, block in enumerate(stage.children()):
        for conv in block.modules():
            if isinstance(conv, nn.Conv2d):
                conv.stride = (1, 1)
                if conv.kernel_size == (3, 3):
                    side = dilation if number else dilation // 2
                    conv.dilation = conv.padding = (side, side)
