from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluators.data import ImageSet, halves, hold_out
from evaluators.data.stratify import subset
from foundation.errors import InputError

label_lists = st.lists(st.integers(0, 4), min_size=2, max_size=80)
seeds = st.integers(0, 2**31)


def numbered(labels: list[int]) -> ImageSet:
    """Image number i has pixel value i."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return ImageSet(images, torch.tensor(labels), tuple("abcde"))


def numbers(images: ImageSet) -> list[int]:
    return images.images.flatten().tolist()


def counts(images: ImageSet) -> torch.Tensor:
    return torch.bincount(images.labels, minlength=5)


def check_partition(images: ImageSet, first: ImageSet, second: ImageSet) -> None:
    assert sorted(numbers(first) + numbers(second)) == numbers(images)
    for part in (first, second):
        assert torch.equal(part.labels, images.labels[part.images.flatten().long()])
        assert part.classes == images.classes


@given(label_lists, seeds)
def test_halves_partition_and_keep_the_share_of_every_class(labels: list[int], seed: int) -> None:
    images = numbered(labels)
    first, second = halves(images, seed)
    check_partition(images, first, second)
    assert abs(len(first) - len(second)) <= 1
    assert (counts(first) - counts(second)).abs().max() <= 1


@given(label_lists, st.floats(0.01, 0.99), seeds)
def test_hold_out_partitions_and_keeps_every_class_in_the_rest(
    labels: list[int], fraction: float, seed: int
) -> None:
    images = numbered(labels)
    possible = len(labels) - len(set(labels))
    if min(round(fraction * len(labels)), possible) < 1:
        with pytest.raises(InputError, match="leaves none"):
            hold_out(images, fraction, seed)
        return
    rest, held = hold_out(images, fraction, seed)
    check_partition(images, rest, held)
    assert len(held) == min(round(fraction * len(labels)), possible)
    assert set(rest.labels.tolist()) == set(labels)


@given(st.integers(1, 5), st.integers(2, 10), st.sampled_from([0.2, 0.5]))
def test_hold_out_takes_the_same_share_of_equal_classes(classes: int, tens: int, fraction: float) -> None:
    images = numbered([label for label in range(classes) for _ in range(tens * 5)][:250])
    _, held = hold_out(images, fraction)
    expected = counts(images) * fraction
    assert ((counts(held) - expected).abs() < 1).all()


@given(label_lists, st.integers(1, 100))
def test_a_limit_keeps_every_class(labels: list[int], limit: int) -> None:
    images = numbered(labels)
    if limit < len(set(labels)) and limit < len(labels):
        with pytest.raises(InputError, match="give at least"):
            subset(images, limit)
        return
    chosen = subset(images, limit)
    assert len(chosen) == min(limit, len(labels))
    assert set(chosen.labels.tolist()) == set(labels)
    assert numbers(chosen) == numbers(subset(images, limit))


def test_seeds_decide() -> None:
    images = numbered([0, 1] * 50)
    assert numbers(halves(images, 1)[0]) == numbers(halves(images, 1)[0])
    assert numbers(halves(images, 1)[0]) != numbers(halves(images, 2)[0])
    assert numbers(hold_out(images, 0.3, 1)[1]) != numbers(hold_out(images, 0.3, 2)[1])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_fractions_outside_are_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        hold_out(numbered([0, 1]), fraction)


def test_one_image_has_no_halves() -> None:
    with pytest.raises(InputError, match="two training images"):
        halves(numbered([0]))
