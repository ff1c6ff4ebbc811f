"""Handwritten digits, 8x8 grey, that come with scikit-learn."""

from __future__ import annotations

from typing import Any

import torch

from evaluators.data.config import DataConfig
from evaluators.data.image_set import ImageSet, Splits
from evaluators.data.reader import READERS, refuse
from evaluators.data.stratify import hold_out


@READERS.register("digits")
def read_digits(config: DataConfig) -> Splits:
    """1,797 digits: 60 % training, 20 % validation, 20 % test, always the same split.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, test part, as
    scikit-learn's `load_digits`. Differs from it: 0 to 16 is scaled to 0 to 255.

    Raises:
        InputError: If the config names a root, a download or an image size.
    """
    refuse(config, "root", "download", "image_size")
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    pixels = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(-1)
    labels = torch.from_numpy(digits.target).long()
    everything = ImageSet(pixels, labels, tuple(map(str, digits.target_names)))
    rest, test = hold_out(everything, 0.2, seed=0)
    train, validation = hold_out(rest, 0.25, seed=0)
    return Splits(train, test, validation)
