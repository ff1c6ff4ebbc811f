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
        places = [place for place, value in enumerate(values) if value.dtype == dtype]
        flat = torch.cat([values[place].flatten() for place in places])
        flat = torch.as_tensor(fabric.all_reduce(flat, reduce_op="mean"))
        parts = flat.split([values[place].numel() for place in places])
        for place, part in zip(places, parts):
            means[place] = part.view(values[place].shape)
    return tuple(means)
