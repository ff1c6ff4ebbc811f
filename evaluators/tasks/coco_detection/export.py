"""What of a detector goes into other formats, and what its layers alone say."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Raw(nn.Module):
    """What the layers of a detector say, in the order of their names, each level apart.

    Args:
        network: The detector.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        network: Any = self.network
        outputs = [value for _, value in sorted(network.raw(images).items())]
        return tuple(part for value in outputs for part in (value if isinstance(value, list) else [value]))


class WithBoxes(nn.Module):
    """A detector from a batch of one image to its boxes, labels and scores.

    Args:
        network: The detector.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (found,) = self.network([images[0]])
        return found["boxes"], found["labels"], found["scores"]
