"""Attention and network learn at rates of their own, and every weight in one of the two groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import autola
from foundation.errors import InputError
from supernet.backbones import build_backbone
from supernet.groups import parameter_groups


def small() -> nn.Module:
    return build_backbone("cifar_resnet8", width=8)


@pytest.mark.parametrize("attention", ["se", "hoga", "aw", "dcn", "se+aw", "aa[size=8]", "simam+se"])
@pytest.mark.parametrize("identity", [False, True])
def test_the_network_is_what_it_was_before(attention: str, identity: bool) -> None:
    plain = {name for name, _ in small().named_parameters()}
    model = autola.attach(small(), attention, identity=identity)
    new, network = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(parameter)] for parameter in network["params"]} == plain & set(names.values())
    assert len(new["params"]) + len(network["params"]) == len(names)
    assert (new["lr"], network["lr"]) == (0.1, 0.01)


def test_an_optimizer_steps_each_at_its_rate() -> None:
    torch.manual_seed(0)
    model = autola.attach(small(), "se")
    new, network = parameter_groups(model, 0.5, network_lr=0.125)
    optimizer = torch.optim.SGD([new, network])
    assert [group["name"] for group in optimizer.param_groups] == ["attention", "network"]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        rate = 0.5 if "attention" in name else 0.125
        assert torch.equal(parameter, before[name] - rate * parameter.grad)


@pytest.mark.parametrize(("lr", "network_lr"), [(0.0, None), (float("nan"), None), (0.1, float("inf"))])
def test_rates_are_positive(lr: float, network_lr: float | None) -> None:
    with pytest.raises(InputError, match="is not a positive number"):
        parameter_groups(autola.attach(small(), "se"), lr, network_lr=network_lr)


def test_without_attention_there_is_nothing_to_group() -> None:
    with pytest.raises(InputError, match="CifarResNet has no attention"):
        parameter_groups(small(), 0.1)
