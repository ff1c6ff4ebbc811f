"""The class selectivity index: how much a channel answers to one class alone.

Source: Morcos et al., "On the Importance of Single Directions for Generalization", ICLR 2018
(arXiv:1803.06959), section 2.1. Activity there follows a ReLU; where a stage ends without one, its positive
part is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foundation.errors import InputError


def selectivity(means: Float[Tensor, "classes c"]) -> Float[Tensor, "c"]:
    """The index of each channel: (highest - mean of the rest) / (highest + mean of the rest).

    Args:
        means: Mean activity of each channel over the images of each class, none negative.

    Returns:
        0 where all classes are alike, 1 where a channel answers to one alone; NaN where to none.

    Raises:
        InputError: If there are fewer than two classes.
    """
    if len(means) < 2:
        raise InputError(f"class selectivity compares classes, and there are images of {len(means)}")
    highest = means.max(0).values
    rest = (means.sum(0) - highest) / (len(means) - 1)
    return (highest - rest) / (highest + rest)


@dataclass(eq=False)
class ClassMeans:
    """Means over the images of each class, gathered batch by batch in float64.

    Attributes:
        num_classes: Classes that there may be images of.
    """

    num_classes: int
    _sums: Tensor = field(init=False, default_factory=lambda: torch.zeros(0))
    _counts: Tensor = field(init=False, default_factory=lambda: torch.zeros(0))

    def add(self, maps: Float[Tensor, "b c h w"], labels: Int[Tensor, "b"]) -> None:
        """Takes in the maps of a batch: of each channel the mean positive part over the positions."""
        activity = maps.double().clamp(min=0).mean((2, 3)).cpu()
        if not len(self._sums):
            self._sums = activity.new_zeros(self.num_classes, activity.shape[1])
            self._counts = activity.new_zeros(self.num_classes)
        self._sums.index_add_(0, labels.cpu(), activity)
        self._counts += torch.bincount(labels.cpu(), minlength=self.num_classes)

    def means(self) -> Float[Tensor, "classes c"]:
        """The means of those classes that there were images of."""
        seen = self._counts > 0
        return self._sums[seen] / self._counts[seen, None]
