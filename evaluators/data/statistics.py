"""Mean and standard deviation of the channels."""

from __future__ import annotations

import math
from fractions import Fraction

import torch

from evaluators.data.config import DataConfig
from evaluators.data.image_set import ImageSet


def channel_statistics(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel over all images, pixels in 0 to 1.

    Exact up to the last rounding: pixels are counted by value, sums are of integers.
    """
    assert len(images) > 0, "statistics of no images"
    values = range(256)
    means, stds = [], []
    for channel in images.images.unbind(-1):
        counts = sum(torch.bincount(part.flatten(), minlength=256) for part in channel.split(4096))
        assert isinstance(counts, torch.Tensor)
        number = counts.tolist()
        mean = Fraction(sum(n * v for n, v in zip(number, values)), channel.numel())
        square = Fraction(sum(n * v * v for n, v in zip(number, values)), channel.numel())
        means.append(float(mean / 255))
        stds.append(math.sqrt((square - mean**2) / 255**2))
    return tuple(means), tuple(stds)


def normalization(config: DataConfig, train: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation to normalise with: those of the config, else of the training images.

    A channel that is the same everywhere is left as it is (deviation 1), not divided by zero.
    """
    if config.mean is not None and config.std is not None:
        return config.mean, config.std
    mean, std = channel_statistics(train)
    return config.mean or mean, config.std or tuple(value or 1.0 for value in std)
