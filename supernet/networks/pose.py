"""A ResNet with deconvolutions that draws a heat map for each keypoint.

Source: Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, section 2
(arXiv:1804.06208).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from supernet.networks.trunk import trunk

STRIDE = 4
"""Pixels of the image to a cell of the heat map, along each side."""


class SimpleBaseline(nn.Module):
    """Stages of a ResNet, three deconvolutions 4x4 of stride 2 with BN and ReLU, and a 1x1 convolution.

    Deconvolutions and the last convolution start from normal weights of deviation 0.001, as in the authors'
    code. Stages keep torchvision's keys below `backbone`.

    Args:
        backbone: Name of a torchvision ResNet.
        num_keypoints: Heat maps.
        channels: Output channels of each deconvolution; 256 in the paper.

    Raises:
        InputError: If the backbone is no torchvision ResNet.
    """

    def __init__(self, backbone: str, num_keypoints: int, channels: int = 256) -> None:
        super().__init__()
        self.backbone, widths = trunk(backbone, {"layer4": "out"})
        layers = list[nn.Module]()
        before = widths["out"]
        for _ in range(3):
            deconvolution = nn.ConvTranspose2d(before, channels, 4, 2, padding=1, bias=False)
            layers += [deconvolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        self.deconvolutions = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, num_keypoints, 1)
        for module in (*self.deconvolutions, self.head):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h4 w4"]:
        return self.head(self.deconvolutions(self.backbone(x)["out"]))
