"""torchvision's FCN and DeepLabV3 on any of its ResNets, with stages 3 and 4 dilated: maps of stride 8.

Sources: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015 (arXiv:1411.4038);
Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017 (arXiv:1706.05587).
Differs from torchvision: basic blocks (resnet18, resnet34) are dilated too.
"""

from __future__ import annotations

from torch import nn

from supernet.networks.config import Head
from supernet.networks.trunk import trunk

HEADS = ("classifier", "aux_classifier")
"""Names of what reads the stages."""

DILATIONS = {"layer3": 2, "layer4": 4}


def build_segmentation(head: Head, backbone: str, num_classes: int, *, auxiliary: bool = True) -> nn.Module:
    """A network from images (b, 3, h, w) to `{"out": logits}`, and `"aux"`, each (b, num_classes, h, w).

    For resnet50 and resnet101 keys and outputs are those of torchvision's `fcn_resnet50` and so on.

    Args:
        head: What reads stage 4.
        backbone: Name of a torchvision ResNet.
        num_classes: Logits of a pixel.
        auxiliary: Whether a second FCN head reads stage 3.

    Raises:
        InputError: If the backbone is no torchvision ResNet.
    """
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
    from torchvision.models.segmentation.fcn import FCN, FCNHead

    outputs = {"layer3": "aux", "layer4": "out"} if auxiliary else {"layer4": "out"}
    stages, widths = trunk(backbone, outputs, dilations=DILATIONS)
    network, first = {"fcn": (FCN, FCNHead), "deeplabv3": (DeepLabV3, DeepLabHead)}[head]
    second = FCNHead(widths["aux"], num_classes) if auxiliary else None
    return network(stages, first(widths["out"], num_classes), second)
