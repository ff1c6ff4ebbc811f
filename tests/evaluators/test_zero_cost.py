"""Scores of untrained networks, against literal computations in float64."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from evaluators.zero_cost.jacobian import jacobian_covariance
from evaluators.zero_cost.size import num_macs, num_params
from evaluators.zero_cost.synflow import synflow
from evaluators.zero_cost.zen import REPEATS, zen
from supernet.attach import attach
from supernet.backbones import build_backbone
from tests.modules import image, num_parameters, scrambled


def plain(bias: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=bias), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, bias=bias),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5, bias=bias),
    )  # fmt: skip


def attended() -> nn.Module:
    return scrambled(
        attach(build_backbone("cifar_resnet8", num_classes=4, in_channels=3, width=None), "hoga")
    )


def test_synflow_is_the_literal_flow():
    network: Any = scrambled(plain())
    first, second, last = (network[place].weight.detach().abs() for place in (0, 3, 7))
    y = F.conv2d(torch.ones(1, 3, 5, 7, dtype=torch.float64), first, padding=1)  # nothing is negative
    flow = float((F.conv2d(y, second).mean((2, 3)) @ last.T).sum())
    # R is linear in each of the three layers, so that each adds R; the norm's parameters add nothing
    assert synflow(network, image(2, 3, 5, 7)) == pytest.approx(math.log(3 * flow), rel=1e-12)


def test_jacobian_covariance_is_the_literal_one():
    network: Any = scrambled(plain(bias=True))
    network[1] = nn.Identity()  # images are independent of one another, and their gradients taken one by one
    images, rows = image(5, 3, 5, 7), []
    for x in images:
        pixels = x[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(pixels).sum(), pixels)
        rows.append(gradient.flatten().numpy())
    values = np.linalg.eigvals(np.corrcoef(np.array(rows))).real.clip(min=0)
    expected = -sum(math.log(value + 1e-5) + 1 / (value + 1e-5) for value in values)
    assert jacobian_covariance(network, images) == pytest.approx(expected, rel=1e-6)  # 1 / v of v near 0


def test_zen_is_the_literal_one():
    network, images = plain(bias=True).double()[:5], image(3, 3, 5, 7)
    torch.manual_seed(3)
    ours = zen(network, images)
    torch.manual_seed(3)
    found: list[float] = []
    twin: Any = copy.deepcopy(network).requires_grad_(False)
    for _ in range(REPEATS):
        for place in (0, 3):
            twin[place].weight.data.normal_()
            twin[place].bias.data.zero_()
        x, e = torch.randn_like(images), torch.randn_like(images)

        def f(x):
            y = twin[0](x)
            mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), keepdim=True, correction=0)
            return twin[3](((y - mean) / (variance + 1e-5).sqrt()).relu()).relu(), variance.mean()

        (a, variance), (b, _) = f(x), f(x + 0.01 * e)
        found.append(float((a - b).abs().sum((1, 2, 3)).mean().log() + variance.sqrt().log()))
    assert ours == pytest.approx(sum(found) / len(found), rel=1e-10)


def test_sizes_are_those_of_the_cost():
    network = attended()
    assert num_params(network, image(2, 3, 9, 14)) == num_parameters(network)
    small, large = (num_macs(network, image(1, 3, side, 14)) for side in (8, 16))
    assert 0 < small < large


@pytest.mark.parametrize("score", [synflow, jacobian_covariance, zen])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_is_scored_again_alike_and_left_as_it_was(score, training):
    network, images = attended().train(training), image(4, 3, 9, 14)
    before = copy.deepcopy(network.state_dict())
    values = []
    for _ in range(2):
        torch.manual_seed(0)
        values.append(score(network, images))
    assert values[0] == values[1]
    assert math.isfinite(values[0])
    assert network.training == training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
