"""Coordinate attention: gates along each axis from the means along the other.

Source: Hou et al., "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021
(arXiv:2103.02907).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.composed import folds
from search_space.norm import OperatorNorm
from search_space.operator import Gate, operator
from search_space.state import State

LEAST_HIDDEN = 8
"""Hidden channels at least, as in the authors' code."""


@operator("coordinate")
class CoordinateAttention(Gate):
    """Scales each position by a factor of its row and one of its column, channel by channel.

        f = hardswish(BN(F1([mean over columns; mean over rows])))
        y[c, i, j] = x[c, i, j] sigmoid(Fh(f_rows))[c, i] sigmoid(Fw(f_columns))[c, j]

    The H + W pooled vectors pass one 1x1 convolution F1 to max(8, C/reduction) channels and one norm
    together; Fh and Fw are 1x1 convolutions back to C. All have biases.

    Args:
        channels: Channels of the input.
        reduction: Ratio of input channels to hidden channels.
        affine: Whether the batch norm has weights; off in the supernet.

    Raises:
        InputError: If `reduction` is not positive.
    """

    search_options: ClassVar[Mapping[str, Any]] = {"affine": False}

    def __init__(self, channels: int, *, reduction: int = 32, affine: bool = True) -> None:
        super().__init__()
        if reduction < 1:
            raise InputError(f"reduction={reduction} is not positive")
        hidden = max(LEAST_HIDDEN, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.norm = OperatorNorm(hidden, affine=affine)
        self.rows = nn.Conv2d(hidden, channels, 1)
        self.columns = nn.Conv2d(hidden, channels, 1)

    def gate(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        pooled = torch.cat((x.mean(3, keepdim=True), x.mean(2, keepdim=True).mT), 2)
        hidden = F.hardswish(self.norm(self.squeeze(pooled)))
        rows, columns = hidden.split(x.shape[2:], 2)
        return torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns.mT))


folds(CoordinateAttention, {"norm": "squeeze"})
