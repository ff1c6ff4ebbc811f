from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluators.data import Augment, DataConfig, ImageSet
from foundation.errors import InputError

MakeSet = Callable[..., ImageSet]

sides = st.integers(1, 9)


def drawn(augment: Augment, num: int, height: int, width: int, seed: int):
    return augment.draw(num, height, width, torch.Generator().manual_seed(seed))


@given(sides, sides, st.sampled_from([1, 3]), st.booleans(), st.integers(0, 4), st.integers(0, 99))
def test_pad_crop_and_flip_equal_a_literal_loop(
    height: int, width: int, channels: int, flip: bool, padding: int, seed: int
) -> None:
    augment = Augment(padding=padding, flip=flip)
    images = torch.randint(256, (6, height, width, channels), dtype=torch.uint8)
    draws = drawn(augment, 6, height, width, seed)
    moved = augment.move(images, draws)
    for index, image in enumerate(images.numpy()):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
        top, left = int(draws.top[index]), int(draws.left[index])
        expected = padded[top : top + height, left : left + width]
        if flip and draws.mirrored[index]:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(moved[index].numpy(), expected)


@given(sides, sides, st.integers(1, 9), st.integers(0, 99))
def test_cutout_equals_a_literal_loop(height: int, width: int, side: int, seed: int) -> None:
    augment = Augment(cutout=side)
    x = torch.rand(6, height, width, 3) + 1
    draws = drawn(augment, 6, height, width, seed)
    expected = x.clone()
    for index in range(6):
        row, column = int(draws.row[index]) - side // 2, int(draws.column[index]) - side // 2
        rows, columns = slice(max(row, 0), max(row + side, 0)), slice(max(column, 0), max(column + side, 0))
        expected[index, rows, columns] = 0
    assert torch.equal(augment.cut(x, draws), expected)


def test_draws_reach_both_ends_and_nothing_beyond() -> None:
    draws = drawn(Augment(padding=2), 5000, 3, 5, 0)
    reached = [sorted(set(draw.tolist())) for draw in draws]
    assert reached == [list(range(5)), list(range(5)), [False, True], list(range(3)), list(range(5))]


def test_nothing_switched_on_changes_nothing(make_set: MakeSet) -> None:
    images = make_set(4).images
    draws = drawn(Augment(), 4, 5, 7, 0)
    assert torch.equal(Augment().move(images, draws), images)
    x = images.double()
    assert torch.equal(Augment().cut(x.clone(), draws), x)


def test_config_decides_and_digits_are_never_mirrored() -> None:
    config = DataConfig(name="cifar10", padding=3, flip=True, cutout=2)
    assert Augment.of(config) == Augment(padding=3, flip=True, cutout=2)
    assert not Augment.of(DataConfig(name="digits", flip=True)).flip


@pytest.mark.parametrize(
    ("augment", "message"),
    [(Augment(padding=3), "padding 3 is too much .* 2"), (Augment(cutout=6), "cutout of 6 .* at most 5")],
)
def test_too_much_is_refused(augment: Augment, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment.check(5, 7)
