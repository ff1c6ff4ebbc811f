"""Images to search and retrain on: readers, one a file, splits, and batches made on the device.

A new reader is one new file here; it is found by itself. Importing this package is light: PyTorch comes
with the first name that needs it, Pillow, torchvision and scikit-learn with the first image read.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evaluators.data.config import DataConfig

if TYPE_CHECKING:
    from evaluators.data.augment import Augment
    from evaluators.data.batches import Batches
    from evaluators.data.image_set import ImageSet, Splits
    from evaluators.data.reader import READERS, read
    from evaluators.data.statistics import channel_statistics, normalization
    from evaluators.data.stratify import halves, hold_out

__all__ = [
    "READERS",
    "Augment",
    "Batches",
    "DataConfig",
    "ImageSet",
    "Splits",
    "channel_statistics",
    "halves",
    "hold_out",
    "normalization",
    "read",
]

_HOMES = {
    "READERS": "reader",
    "Augment": "augment",
    "Batches": "batches",
    "ImageSet": "image_set",
    "Splits": "image_set",
    "channel_statistics": "statistics",
    "halves": "stratify",
    "hold_out": "stratify",
    "normalization": "statistics",
    "read": "reader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
