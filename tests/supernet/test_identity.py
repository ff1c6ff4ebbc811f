"""With identity=True every operator leaves the bits of the plain network as they are."""

from __future__ import annotations

import copy

import pytest
import torch

from search_space.operator import OPERATORS
from supernet.attach import attach, attached
from tests.supernet.test_folding import Block


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "none"])
def test_the_bits_stay(name: str, training: bool) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(Block(16), Block(16)).train(training)
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter)
    model, x = copy.deepcopy(plain), torch.randn(2, 16, 9, 7)
    attach(model, f"{name}:1111" if name == "ga" else name, identity=True, input_shape=(16, 9, 7))
    assert attached(model)
    assert torch.equal(model(x), plain(x))


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("name", ["aw", "dcn"])
def test_what_changes_a_convolution_begins_with_its_bits_and_learns(name: str, kernel: int) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(6, 8, kernel, stride=2, padding=kernel // 2, groups=2))
    model = attach(copy.deepcopy(plain), name, ["0"], identity=True)
    x = torch.randn(3, 6, 11, 9)
    assert torch.equal(model(x), plain(x))
    model(x).square().sum().backward()
    first = attached(model)[0].module.get_parameter("scale" if name == "aw" else "offset.weight")
    assert first.grad is not None
    assert bool(first.grad.any())
