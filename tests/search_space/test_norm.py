"""Batch norm plane by plane is batch norm."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from search_space import norm
from tests.equality import assert_equal


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("training", [True, False])
def test_equals_torchs_in_values_gradients_and_statistics(channels, training, monkeypatch):
    monkeypatch.setattr(norm, "LARGE", 1)
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(channels).double().train(training)
    nn.init.normal_(theirs.weight)
    theirs.get_buffer("running_mean").add_(0.5)
    ours = norm.OperatorNorm(channels).double().train(training)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    x = torch.randn(3, channels, 5, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    results = []
    for module in (theirs, ours):
        read = x.clone().requires_grad_()
        y = module(read)
        gradients = torch.autograd.grad(y.pow(3).sum(), [read, *module.parameters()])
        results.append([y, *gradients, *module.buffers()])
        assert channels == 1 or y.stride(1) == 1
    for mine, expected in zip(*reversed(results), strict=True):
        assert_equal(mine, expected)


def test_narrow_maps_go_plane_by_plane(monkeypatch):
    taken = []
    to_planes = norm.to_planes
    monkeypatch.setattr(norm, "to_planes", lambda x: taken.append(x.shape) or to_planes(x))
    for channels, side in ((4, 128), (4, 127), (8, 128)):
        x = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
        norm.OperatorNorm(channels)(x)
    assert taken == [(1, 4, 128, 128)]
