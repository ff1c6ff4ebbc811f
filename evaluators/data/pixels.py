"""Bytes of images as the numbers that networks with ImageNet's weights take."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
"""Mean of each channel over ImageNet's training images, pixels in 0 to 1; torchvision's weights expect
it."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of each channel over ImageNet's training images, pixels in 0 to 1."""


def normalized(
    pixels: UInt8[Tensor, "*b 3 h w"], device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "*b 3 h w"]:
    """Pixels with ImageNet's mean taken off and divided by its deviation, on a device."""
    mean, std = (torch.tensor(value, device=device, dtype=dtype)[:, None, None] for value in (MEAN, STD))
    return (pixels.to(device, non_blocking=True).to(dtype) / 255 - mean) / std
