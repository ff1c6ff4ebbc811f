"""What several processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def mean_over_processes(values: Sequence[Tensor], fabric: Fabric) -> tuple[Tensor, ...]:
    """Mean of every tensor over all processes; tensors of one type travel as one."""
    if fabric.world_size == 1:
        return tuple(values)
    means = list(values)
    for dtype in dict.fromkeys(value.dtype for value in values):
        indices = [index for index, value in enumerate(values) if value.dtype == dtype]
        flat = torch.cat([values[index].flatten() for index in indices])
        flat = torch.as_tensor(fabric.all_reduce(flat, reduce_op="mean"))
        parts = flat.split([values[index].numel() for index in indices])
        for index, part in zip(indices, parts):
            means[index] = part.view(values[index].shape)
    return tuple(means)
