"""Blocks computed again in the backward pass, or compiled: the same function, under the same names."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import saved_bytes
from foundation.errors import InputError
from search_space.space import HOGA
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.blocks import blocks, compile_blocks, recompute_blocks
from supernet.supernet import Form, Supernet
from tests.equality import assert_equal


def images_of(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def supernet_of(form: Form) -> Supernet:
    return Supernet(build_backbone("cifar_resnet8"), replace(HOGA, num_nodes=2), form)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "grouped": lambda: supernet_of("grouped"),
    "plain": lambda: supernet_of("plain"),
    "found": lambda: attach(build_backbone("cifar_resnet8"), "hoga"),
    "timm": lambda: attach(build_backbone("timm:resnet10t", num_classes=10, in_channels=3), "se"),
}


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    twin = copy.deepcopy(network)
    recompute_blocks(twin)
    return network, twin


def step(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    torch.manual_seed(2)
    logits = network(images)
    loss = F.cross_entropy(logits, torch.arange(len(images)))
    return logits, *torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_blocks_computed_again_give_the_same_step(name, training):
    network, twin = twins(name)
    images = images_of(3, 3, 12, 8)
    for _ in range(2):
        ours, theirs = (step(each.train(training), images) for each in (twin, network))
        assert_equal(ours, theirs, through=network)
    assert list(twin.state_dict()) == list(network.state_dict())
    assert_equal(twin.state_dict(), network.state_dict(), through=network)


def test_the_mixing_weights_of_the_step_are_used_again():
    network, twin = twins("grouped")
    images, labels = images_of(2, 3, 8, 8), torch.arange(2)
    gradients = []
    for supernet in (network, twin):
        assert isinstance(supernet, Supernet)
        loss = F.cross_entropy(supernet(images), labels)
        with torch.no_grad():
            supernet.alphas.fill_(1.0)  # before the backward pass
            supernet(images)
        gradients.append(torch.autograd.grad(loss, [supernet.alphas])[0])
    assert_equal(*gradients, through=network)


def test_stochastic_depth_is_drawn_the_same_again():
    from evaluators.train import drop_paths

    network, twin = twins("found")
    drop_paths(network, 0.5)
    drop_paths(twin, 0.5)
    images = images_of(8, 3, 8, 8)
    assert_equal(step(twin, images), step(network, images), through=network)


def test_less_is_kept():
    network, twin = twins("grouped")
    images = images_of(2, 3, 16, 16)
    assert saved_bytes(lambda: twin(images)) < 0.3 * saved_bytes(lambda: network(images))


def test_a_network_without_known_blocks_is_refused():
    with pytest.raises(InputError, match="Sequential has no block that autola knows"):
        compile_blocks(nn.Sequential(nn.Conv2d(3, 3, 1)))


def test_compiled_or_computed_again():
    network = supernet_of("grouped")
    recompute_blocks(network)
    with pytest.raises(InputError, match="choose compile or recompute"):
        compile_blocks(network)
    network = supernet_of("grouped")
    keys = list(network.state_dict())
    compile_blocks(network)
    assert list(network.state_dict()) == keys
    with pytest.raises(InputError, match="choose compile or recompute"):
        recompute_blocks(network)
    assert all(block._compiled_call_impl is None for block in blocks(copy.deepcopy(network)))
