"""Operators and cells as many networks in one program: `torch.func` stacks their weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_space.grammar import parse_attention
from search_space.operator import OPERATORS
from tests.equality import assert_equal

CHANNELS = 16
NO_WEIGHTS = {"none", "skip_connect", "simam"}
NAMES = [name for name, recipe in OPERATORS.items() if recipe.place == "block" and name not in NO_WEIGHTS]


def modules(name: str) -> list[nn.Module]:
    found = list[nn.Module]()
    for seed in range(3):
        torch.manual_seed(seed)
        (term,) = parse_attention(name)
        module = term.build(CHANNELS, (5, 7)).double()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
        found.append(module)
    return found


def gradient(base: nn.Module, x: Tensor) -> Callable[[Any, Any], Any]:
    def loss(params: Any, buffers: Any) -> Tensor:
        return torch.func.functional_call(base, (params, buffers), (x,)).square().mean()

    return torch.func.grad(loss)


@pytest.mark.parametrize("last", [False, True], ids=["planes", "channels_last"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # of attention, no fault here
@pytest.mark.parametrize("name", [*NAMES, "hoga", "ga"])
def test_stacked_networks_have_the_gradients_of_each(name: str, training: bool, last: bool) -> None:
    networks = [module.train(training) for module in modules(name)]
    x = torch.randn(2, CHANNELS, 5, 7, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    params, buffers = torch.func.stack_module_state(copy.deepcopy(networks))
    base = copy.deepcopy(networks[0]).to("meta")
    stacked = torch.func.vmap(gradient(base, x), randomness="error")(params, buffers)
    for index, network in enumerate(networks):
        network(x).square().mean().backward()
        alone = {key: weight.grad for key, weight in network.named_parameters() if weight.grad is not None}
        assert alone
        assert_equal({key: stacked[key][index] for key in alone}, alone, through=network)
        for key, value in network.named_buffers():
            if value.is_floating_point():
                torch.testing.assert_close(buffers[key][index], value, rtol=1e-12, atol=1e-12)
