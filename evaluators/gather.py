"""What all processes together have found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")


def gather(fabric: Fabric, values: Sequence[T]) -> list[T]:
    """The values of all processes, in the order of their numbers; every process gets all of them.

    Args:
        fabric: Device and processes.
        values: This process's: anything that pickles.
    """
    if fabric.world_size == 1:
        return list(values)
    shares: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(shares, list(values))
    return [value for share in shares for value in share]
