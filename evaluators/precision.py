"""Number formats that follow from a precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def real_dtype(fabric: Fabric) -> torch.dtype:
    """Floating-point type of images and weights: float64 under "64-true", else float32."""
    return torch.float64 if fabric.strategy.precision.precision == "64-true" else torch.float32
