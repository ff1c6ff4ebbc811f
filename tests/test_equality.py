"""The rule of equality passes over rounding, and over nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.backbones import build_backbone
from tests.equality import assert_equal, bound


def gradients(network: nn.Module, images: Tensor, *, reversed_order: bool = False) -> dict[str, Tensor]:
    """Gradients of a network's weights; the images in the other order add up in another order."""
    labels = torch.arange(len(images)) % 10
    if reversed_order:
        images, labels = images.flip(0), labels.flip(0)
    loss = F.cross_entropy(network(images), labels)
    names, weights = zip(*network.named_parameters())
    return dict(zip(names, torch.autograd.grad(loss, weights)))


@pytest.fixture(scope="module")
def deep() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return build_backbone("cifar_resnet34").double(), torch.randn(4, 3, 9, 7, dtype=torch.float64)


def test_another_order_of_the_terms_is_equal(deep: tuple[nn.Module, Tensor]) -> None:
    network, images = deep
    assert_equal(gradients(network, images, reversed_order=True), gradients(network, images), through=network)


def test_another_epsilon_of_the_norms_is_not(deep: tuple[nn.Module, Tensor]) -> None:
    network, images = deep
    expected = gradients(network, images)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    norms[-1].eps *= 1.001
    with pytest.raises(AssertionError):
        assert_equal(gradients(network, images), expected, through=network)
    norms[-1].eps /= 1.001


def test_single_precision_in_between_is_not(deep: tuple[nn.Module, Tensor]) -> None:
    network, images = deep
    expected = network(images)
    with pytest.raises(AssertionError):
        assert_equal(network(images.float().double()), expected, through=network)


def test_it_grows_with_the_reference_and_with_what_is_behind_it() -> None:
    x = torch.ones(1000, dtype=torch.float64)
    assert bound(3 * x) == 3 * bound(x)
    deep = nn.Sequential(*(nn.Linear(50, 50) for _ in range(40)))
    assert bound(x, deep) > bound(x)
    with pytest.raises(AssertionError, match="compare in float64"):
        bound(x.float(), deep)
    with pytest.raises(AssertionError):
        assert_equal(x + 1e-11, x)
    with pytest.raises(AssertionError):
        assert_equal({"one": x}, {"other": x})
