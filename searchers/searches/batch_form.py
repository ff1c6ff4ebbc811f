"""What the batches of a user's own loop have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def form_of(batch: Any) -> Any:
    """What two batches have in common: types, keys, and the axes of tensors."""
    match batch:
        case Tensor():
            return f"{batch.ndim} axes of {str(batch.dtype).removeprefix('torch.')}"
        case Mapping():
            return {key: form_of(value) for key, value in batch.items()}
        case tuple() | list():
            return [form_of(value) for value in batch] if _is_fixed(batch) else type(batch).__name__
        case _:
            return type(batch).__name__


def _is_fixed(batch: Sequence[Any]) -> bool:
    """Whether a sequence is parts of a batch rather than its items, of which there may be fewer."""
    return all(isinstance(part, Tensor) and part.ndim for part in batch) and len(batch) <= 4
