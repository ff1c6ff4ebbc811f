"""The place after the ReLU of a 3x3 convolution: attended residual blocks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.sites import Site, find_sites
from tests.alone import alone
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

ATTENTIONS = ["ga:1111", "ga:0010", "dynamic"]


def small() -> nn.Module:
    torch.manual_seed(0)
    return CifarResNet((1, 1), num_classes=5, in_channels=3, width=8)


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_backbone(name)


@pytest.mark.parametrize("name", ["resnet50", "timm:resnet50", "wide_resnet50_2"])
def test_in_a_bottleneck_it_has_the_inner_width(name: str) -> None:
    model = on_meta(name)
    sites = find_sites(model, "activation")
    assert sites[0] == Site(name="layer1.0.conv3", channels=128 if "wide" in name else 64, before=True)
    assert [site.channels for site in sites] == [site.channels for site in find_sites(model, "inner")]


@pytest.mark.parametrize("name", ["resnet18", "timm:resnet34", "cifar_resnet20"])
def test_in_a_basic_block_it_follows_the_first_convolution(name: str) -> None:
    model = on_meta(name)
    sites = find_sites(model, "activation")
    assert all(site.before and site.name.endswith(".conv2") for site in sites)
    assert [site.channels for site in sites] == [site.channels for site in find_sites(model, "block")]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("bottleneck", [Bottleneck, timm.models.resnet.Bottleneck])
def test_it_reads_what_the_relu_gives(bottleneck: type[nn.Module], attention: str) -> None:
    model: Any = scrambled(nn.Sequential(bottleneck(32, 8))).eval()
    plain = copy.deepcopy(model)[0]
    attach(model, attention)
    own = model[0].conv3_input_attention
    scrambled(own, 1)
    x = image(2, 32, 5, 7)
    before = x.clone()
    y = plain.bn1(plain.conv1(x)).relu()
    y = own(plain.bn2(plain.conv2(y)).relu())
    y = plain.bn3(plain.conv3(y))
    assert_equal(model(x), (y + x).relu(), through=model)
    assert torch.equal(x, before)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", ["cifar_resnet8", "resnet50", "timm:resnet18"])
def test_weights_of_the_plain_model_load_and_nothing_changes_at_first(name: str, attention: str) -> None:
    torch.manual_seed(0)
    plain = build_backbone(name).eval()
    model = attach(build_backbone(name), attention).eval()
    result = model.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert result.missing_keys
    assert all("_input_attention." in key for key in result.missing_keys)
    x = torch.randn(2, 3, 33, 35)
    torch.testing.assert_close(model(x), plain(x))


@pytest.mark.parametrize("attention", ["ga:0110", "dynamic"])
def test_each_block_has_its_own(attention: str) -> None:
    model = attach(small(), attention).double()
    owners = [module for name, module in model.named_modules() if name.endswith("conv2_input_attention")]
    assert len(owners) == 2
    assert type(model.get_submodule("layer1.0.conv2")) is nn.Conv2d
    model(image(2, 3, 9, 7)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_places_of_both_sides_go_together() -> None:
    model = scrambled(attach(small(), "ga:0010+se+hoga")).eval()
    twin = copy.deepcopy(model)
    x = image(2, 3, 9, 7)
    before = model(x)
    scrambled(twin, 3)
    assert torch.equal(model(x), before)
    assert not torch.equal(twin(x), before)
    names = [name for name, _ in model.named_modules() if name.endswith("attention")]
    children = ("conv2_input_attention", "bn2_attention")
    assert names == [f"layer{i}.0.{child}" for i in (1, 2) for child in children]


def test_identity_and_named_places() -> None:
    plain = scrambled(small()).eval()
    model = attach(copy.deepcopy(plain), "ga:1000", ["layer1.0.bn1"], identity=True)
    x = image(1, 3, 5, 7)
    assert torch.equal(model(x), plain(x))
    seen = list[Tensor]()
    model.get_submodule("layer1.0.bn1_attention").register_forward_hook(
        lambda _, args, __: seen.append(args[0])
    )
    model(x)
    assert (seen[0] < 0).any(), "a place that the user names is followed, whatever the operator"


@pytest.mark.parametrize(
    ("attention", "added"),
    [
        ("ga:0010", 3_545_097),
        ("ga:0010[stages=34]", 3_545_097),
        ("ga:1111[stages=34]", 6 * 328_449 + 3 * 1_312_257),
        ("ga:0010[stages=4]", 3 * 787_457),
        ("dcn", sum(times * 9 * 18 * c + times * 18 for c, times in ((128, 4), (256, 6), (512, 3)))),
    ],
)
@pytest.mark.parametrize("name", ["resnet50", "timm:resnet50"])
def test_resnet50_has_the_weights_of_the_public_networks(name: str, attention: str, added: int) -> None:
    plain = num_parameters(on_meta(name))
    with torch.device("meta"):
        assert num_parameters(attach(build_backbone(name), attention)) - plain == added


COMPILED = """
import sys
import torch
from supernet.attach import attach
from supernet.backbones.cifar_resnet import CifarResNet
from tests.supernet.compiled import check_compiled_and_exported

for attention in sys.argv[1:]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = attach(CifarResNet((1,), 5, 3, 8), attention).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    check_compiled_and_exported(model, x)
"""

EVERY = [
    "ga:1111+ga:0010+dynamic",
    "ga:0001+ga:0011[spatial_range=2]+ga:0100[q_stride=2]",
    "dcn[modulated=true]+ga:1001",
    "simam+coordinate+triplet+eca+ceca+ese+gc+gca+ge+nl+sk+bat",
]


@pytest.mark.slow
def test_compiles_and_exports() -> None:
    result = alone(COMPILED, *EVERY)
    assert result.returncode == 0, result.stderr
