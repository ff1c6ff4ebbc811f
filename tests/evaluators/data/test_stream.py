"""Streams: every batch a function of its place, whoever reads it and whatever was read before."""

import random

import pytest
import torch

from evaluators.data.stream import Stream
from foundation.errors import InputError


class Numbers:
    """Samples that are their number and a draw."""

    def __init__(self, count, bad=None):
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def sample(self, index, seed):
        if index == self.bad:
            raise InputError(f"image {index} cannot be read")
        return index, random.Random(seed).random()


def stream(samples, batch_size=4, **changes):
    options = {"collate": list, "seed": 3, "shuffle": True, "drop_last": True}
    return Stream(samples, batch_size, **(options | changes))


def test_an_epoch_takes_every_sample_once_in_its_own_order():
    whole = stream(Numbers(13))
    epochs = [[whole.batch(epoch, index) for index in range(len(whole))] for epoch in range(2)]
    for epoch in epochs:
        numbers = [number for batch in epoch for number, _ in batch]
        assert len(numbers) == len(set(numbers)) == 12
    assert epochs[0] != epochs[1]
    draws = [dict(pair for batch in epoch for pair in batch) for epoch in epochs]
    shared = set(draws[0]) & set(draws[1])
    assert shared
    assert all(draws[0][number] != draws[1][number] for number in shared)
    assert whole.batch(1, 2) == epochs[1][2]
    assert stream(Numbers(13), seed=4).batch(0, 0) != epochs[0][0]


@pytest.mark.parametrize("drop_last", [True, False])
def test_processes_share_what_one_would_read(drop_last):
    whole = stream(Numbers(11), drop_last=drop_last)
    shares = [stream(Numbers(11), drop_last=drop_last, rank=rank, world_size=2) for rank in range(2)]
    assert {len(share) for share in shares} == {len(whole)}
    for index in range(len(whole)):
        assert [pair for share in shares for pair in share.batch(0, index)] == whole.batch(0, index)
    uneven = [list(stream(Numbers(5), drop_last=False, rank=rank, world_size=3)) for rank in range(3)]
    assert sorted(number for share in uneven for batch in share for number, _ in batch) == list(range(5))


def test_workers_read_the_same_from_any_place_and_tell_what_is_wrong():
    alone, helped = stream(Numbers(9)), stream(Numbers(9), num_workers=1)
    places = [(0, 1), (1, 0), (1, 1), (0, 0)]
    assert [helped.batch(*place) for place in places] == [alone.batch(*place) for place in places]
    orderly = stream(Numbers(9), num_workers=1, shuffle=False, drop_last=False)
    assert list(orderly) == list(stream(Numbers(9), shuffle=False, drop_last=False))
    with pytest.raises(InputError, match=r"^image 2 cannot be read$"):
        list(stream(Numbers(9, bad=2), num_workers=1, drop_last=False))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_reading_leaves_the_random_state_alone(num_workers):
    before = torch.get_rng_state()
    stream(Numbers(9), num_workers=num_workers).batch(0, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("count", "changes", "message"),
    [
        (0, {}, "there are no images"),
        (3, {}, "3 images do not fill a batch of 4"),
        (9, {"world_size": 3}, "does not split evenly over 3 processes"),
    ],
)
def test_batches_that_cannot_be_made_are_refused(count, changes, message):
    with pytest.raises(InputError, match=message):
        stream(Numbers(count), **changes)
    with pytest.raises(IndexError):
        stream(Numbers(9)).batch(0, 2)


def test_no_more_workers_read_than_there_are_cores(monkeypatch):
    monkeypatch.setattr("evaluators.data.stream.usable_cores", lambda: 2)
    asked = [stream(Numbers(8), num_workers=number)._num_workers for number in (0, 1, 2, 9)]
    assert asked == [0, 1, 2, 2]
