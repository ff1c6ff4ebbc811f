"""A found cell run by the native operator."""

from __future__ import annotations

import logging
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.cell import Cell
from search_space.kernels import is_transformed
from search_space.native.operator import load_cell_operator, why_missing
from search_space.native.program import native_program

log = logging.getLogger(__name__)


class NativeCell(nn.Module):
    """What a cell computes in evaluation mode, as one operator.

    Args:
        cell: In evaluation mode, with single operators on its edges.

    Raises:
        InputError: If the operator cannot be built here, or does not know an edge of the cell.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        load_cell_operator()
        made = native_program(cell)
        if made is None:
            raise InputError("the native operator does not know every operator on the edges of the cell")
        self.program, weights = made
        self.weights = nn.Parameter(weights, requires_grad=False)
        self.is_loaded = True

    def takes(self, x: Float[Tensor, "b c h w"]) -> bool:
        """Whether the operator is here and runs such maps: float32 or float64, on the CPU, no gradients."""
        return (
            self.is_loaded
            and x.device.type == "cpu"
            and x.dtype == self.weights.dtype
            and x.dtype in (torch.float32, torch.float64)
            and not (torch.is_grad_enabled() and x.requires_grad)
            and not is_transformed()
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if not (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)):
            x = x.contiguous()
        y: Tensor = torch.ops.autola.cell(x, self.weights, self.program)
        return y

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        reason = why_missing()
        self.is_loaded = reason is None
        if reason is not None:
            log.warning("a deployed cell runs without the operator that it was made for: %s", reason)
