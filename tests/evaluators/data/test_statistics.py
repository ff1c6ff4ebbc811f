from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from evaluators.data import DataConfig, ImageSet, channel_statistics, normalization

MakeSet = Callable[..., ImageSet]


def test_equal_numpy_in_float64(make_set: MakeSet) -> None:
    images = make_set(50)
    mean, std = channel_statistics(images)
    pixels = images.images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-13)


def test_more_images_than_one_part() -> None:
    images = torch.arange(9000, dtype=torch.int64).remainder(251).to(torch.uint8).view(-1, 1, 1, 1)
    mean, std = channel_statistics(ImageSet(images, torch.zeros(9000, dtype=torch.int64), ("a", "b")))
    np.testing.assert_allclose(mean, images.double().mean() / 255, rtol=1e-14)
    np.testing.assert_allclose(std, images.double().std(correction=0) / 255, rtol=1e-13)


def test_the_config_goes_first(make_set: MakeSet) -> None:
    images = make_set(9)
    assert normalization(DataConfig(), images) == channel_statistics(images)
    mean, std = normalization(DataConfig(mean=(0.5, 0.4, 0.3)), images)
    assert mean == (0.5, 0.4, 0.3)
    assert std == channel_statistics(images)[1]


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    images = ImageSet(torch.full((4, 2, 2, 1), 7, dtype=torch.uint8), torch.zeros(4).long(), ("a", "b"))
    assert channel_statistics(images)[1] == (0.0,)
    assert normalization(DataConfig(), images)[1] == (1.0,)
