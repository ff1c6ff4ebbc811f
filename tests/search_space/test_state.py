"""A state computes each statistic once, and right."""

from __future__ import annotations

import pytest
import torch

from search_space.state import State
from tests.equality import assert_equal
from tests.modules import image


@pytest.mark.parametrize("channels_last", [False, True])
def test_statistics_are_those_of_the_map(channels_last: bool) -> None:
    x = image(2, 3, 5, 7)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    state = State(x)
    pool = torch.stack([x.amax(1), x.sum(1) / 3], 1)
    assert_equal(state.channel_pool, pool)
    assert_equal(state.spatial_mean, x.sum((2, 3)) / 35)
    torch.testing.assert_close(state.spatial_max, x.amax((2, 3)), rtol=0, atol=0)


@pytest.mark.parametrize("statistic", ["channel_pool", "spatial_mean", "spatial_max"])
def test_statistics_are_computed_once(statistic: str) -> None:
    state = State(image(1, 2, 3, 3))
    assert getattr(state, statistic) is getattr(state, statistic)


def test_maxima_send_their_gradient_to_one_place() -> None:
    x = torch.ones(1, 3, 2, 2, requires_grad=True)  # ties everywhere
    (over_channels,) = torch.autograd.grad(State(x).channel_pool[:, 0].sum(), x)
    assert torch.equal(over_channels.sum(1), torch.ones(1, 2, 2))
    assert set(over_channels.unique().tolist()) == {0.0, 1.0}
    (over_positions,) = torch.autograd.grad(State(x).spatial_max.sum(), x)
    assert torch.equal(over_positions.sum((2, 3)), torch.ones(1, 3))
    assert set(over_positions.unique().tolist()) == {0.0, 1.0}
