from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.data import Augment, Batches, ImageSet
from foundation.errors import InputError

MakeSet = Callable[..., ImageSet]

AUGMENT = Augment(padding=2, flip=True, cutout=3)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.1)


def training(images: ImageSet, batch_size: int = 8, **more: Any) -> Batches:
    settings: dict[str, Any] = {
        "device": "cpu",
        "mean": MEAN,
        "std": STD,
        "augment": AUGMENT,
        "seed": 0,
        "shuffle": True,
        "drop_last": True,
    }
    return Batches(images, batch_size, **{**settings, **more})


def evaluation(images: ImageSet, batch_size: int = 8, **more: Any) -> Batches:
    return training(images, batch_size, **{"augment": None, "shuffle": False, "drop_last": False, **more})


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
def test_evaluation_sees_every_image_in_order(make_set: MakeSet, dtype: torch.dtype, channels: int) -> None:
    images = make_set(21, channels=channels)
    mean, std = MEAN[:channels], STD[:channels]
    batches = evaluation(images, mean=mean, std=std, dtype=dtype)
    x, y = (torch.cat(parts) for parts in zip(*batches))
    assert [len(labels) for _, labels in batches] == [8, 8, 5]
    assert len(batches) == 3
    expected = images.images.double() / 255 - torch.tensor(mean, dtype=torch.float64)
    expected /= torch.tensor(std, dtype=torch.float64)
    torch.testing.assert_close(x, expected.permute(0, 3, 1, 2).to(dtype))
    assert torch.equal(y, images.labels)


@pytest.mark.parametrize("augment", [None, AUGMENT])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_batches_are_channels_last(make_set: MakeSet, augment: Augment | None, dtype: torch.dtype) -> None:
    x, y = training(make_set(20), augment=augment, dtype=dtype).batch(0, 1)
    assert x.shape == (8, 3, 5, 7)
    assert x.dtype == dtype
    assert x.stride() == (105, 1, 21, 3)
    assert y.dtype == torch.int64


@settings(deadline=None)
@given(st.permutations([(epoch, index) for epoch in range(3) for index in range(3)]))
def test_a_batch_depends_on_its_number_alone(make_set: MakeSet, numbers: list[tuple[int, int]]) -> None:
    images = make_set(28)
    asked = training(images)
    for number in numbers:
        assert same(asked.batch(*number), training(images).batch(*number))


def test_an_epoch_sees_each_image_at_most_once(make_set: MakeSet) -> None:
    images = make_set(27, classes=27)
    batches = training(images)
    assert len(batches) == 3
    for epoch in range(3):
        seen = torch.cat([batches.batch(epoch, index)[1] for index in range(3)]).tolist()
        assert len(set(seen)) == 24


def test_epochs_seeds_and_streams_differ_in_order_and_augmentation(make_set: MakeSet) -> None:
    images = make_set(64, classes=64)
    first = training(images)
    assert not torch.equal(first.batch(0, 0)[1], first.batch(1, 0)[1])
    changes: list[dict[str, Any]] = [{"seed": 1}, {"stream": "alphas"}]
    for more in changes:
        other = training(images, **more)
        assert not torch.equal(first.batch(0, 0)[1], other.batch(0, 0)[1])
        fixed, moved = (training(images, shuffle=False, **extra) for extra in (dict[str, Any](), more))
        assert not torch.equal(fixed.batch(0, 0)[0], moved.batch(0, 0)[0])
    fixed = training(images, shuffle=False)
    assert not torch.equal(fixed.batch(0, 0)[0], fixed.batch(1, 0)[0])
    alike = training(make_set([0] * 64).select(torch.zeros(64).long()))
    assert not torch.equal(alike.batch(0, 0)[0], alike.batch(0, 1)[0])


def test_other_random_numbers_change_nothing(make_set: MakeSet) -> None:
    batches = training(make_set(20))
    before = batches.batch(1, 0)
    torch.manual_seed(7)
    torch.rand(3)
    state = torch.get_rng_state()
    assert same(batches.batch(1, 0), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_making_a_batch_leaves_the_images_alone(make_set: MakeSet) -> None:
    images = make_set(20)
    before = images.images.clone()
    for batches in (training(images), evaluation(images, dtype=torch.float64)):
        batches.batch(0, 0)[0].zero_()
    assert torch.equal(images.images, before)


@pytest.mark.parametrize("world_size", [2, 4])
def test_shares_of_processes_are_the_batch_of_one(make_set: MakeSet, world_size: int) -> None:
    images = make_set(30)
    alone = training(images)
    ranks = [training(images, rank=rank, world_size=world_size) for rank in range(world_size)]
    for number in [(0, 0), (2, 1)]:
        shares = [batches.batch(*number) for batches in ranks]
        assert {len(y) for _, y in shares} == {8 // world_size}
        assert same(tuple(map(torch.cat, zip(*shares))), alone.batch(*number))


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 5))
def test_processes_evaluate_every_image_once(
    make_set: MakeSet, num: int, batch_size: int, world_size: int
) -> None:
    images = make_set(num)
    alone = list(evaluation(images, batch_size))
    ranks = [
        list(evaluation(images, batch_size, rank=rank, world_size=world_size)) for rank in range(world_size)
    ]
    assert {len(batches) for batches in ranks} == {len(alone)}
    for whole, *shares in zip(alone, *ranks):
        assert same(tuple(map(torch.cat, zip(*shares))), whole)


def test_an_empty_share_of_an_augmented_batch(make_set: MakeSet) -> None:
    batches = training(make_set(1), drop_last=False, rank=0, world_size=2)
    x, y = batches.batch(0, 0)
    assert x.shape == (0, 3, 5, 7)
    assert len(y) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"batch_size": 21}, "20 images do not fill a batch of 21"),
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 7, "world_size": 2}, "a multiple of 2"),
        ({"mean": (0.5,)}, "mean has 1 values, the images 3"),
        ({"std": (0.5, 0.5, 0.0)}, "must be positive"),
        ({"augment": Augment(padding=9)}, "padding 9 is too much"),
    ],
)
def test_what_cannot_be_is_refused(make_set: MakeSet, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training(make_set(20), **more)


def test_no_images_are_refused(make_set: MakeSet) -> None:
    with pytest.raises(InputError, match="no images"):
        evaluation(make_set(3).select(torch.tensor([], dtype=torch.int64)))


@pytest.mark.parametrize("index", [-1, 3])
def test_there_are_no_further_batches(make_set: MakeSet, index: int) -> None:
    with pytest.raises(IndexError):
        training(make_set(27)).batch(0, index)
