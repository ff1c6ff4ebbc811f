"""Attention beside the module that it follows: copies, files, lost hooks, shared modules, taken out again."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from foundation.errors import InputError
from supernet.attach import attach, attached, convert_norms, detach
from supernet.backbones.cifar_resnet import BasicBlock, CifarResNet
from supernet.blocks import blocks
from tests.modules import image, scrambled


def small() -> Any:
    torch.manual_seed(0)
    return CifarResNet((1, 1), num_classes=5, in_channels=3, width=8)


@pytest.mark.parametrize("attention", ["se", "ga:0010+hoga", "aw"])
def test_a_pickled_or_copied_model_runs_its_own_attention(attention: str) -> None:
    model = scrambled(attach(small(), attention)).eval()
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    x = image(2, 3, 9, 7)
    before = model(x)
    for twin in (torch.load(file, weights_only=False), copy.deepcopy(model)):
        assert torch.equal(twin(x), before)
        scrambled(twin, 1)
        assert not torch.equal(twin(x), before)
        assert torch.equal(model(x), before)


def test_weights_of_version_0_1_load() -> None:
    model = scrambled(attach(small(), "ga:0010+se")).eval()
    new = model.state_dict()
    old = {key.replace("_input_attention.", ".input_attention.") for key in new if "_input_" in key}
    assert "layer1.0.conv2.input_attention.gamma" in old
    state = {
        key.replace("conv2_input_attention", "conv2.input_attention").replace(
            "bn2_attention", "bn2.attention"
        ): v
        for key, v in new.items()
    }
    assert state.keys() != new.keys()
    twin = scrambled(copy.deepcopy(model), 1)
    twin.load_state_dict(state)
    assert all(torch.equal(value, new[key]) for key, value in twin.state_dict().items())


@pytest.mark.parametrize("attention", ["se", "cbam", "hoga", "triplet+coordinate", "ga:0010"])
def test_freezing_norms_leaves_the_attention_learning(attention: str) -> None:
    model = attach(small(), attention)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    assert all(parameter.requires_grad for name, parameter in model.named_parameters() if "attention" in name)


def test_what_a_conversion_loses_is_an_error_and_can_be_taken_out() -> None:
    model = attach(small(), "se").eval()
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    with pytest.raises(InputError, match=r"the attention 'layer1\.0\.bn2_attention', .* is not run any more"):
        model(torch.ones(1, 3, 8, 8))
    detach(model)
    assert list(model.state_dict()) == list(small().state_dict())
    model(torch.ones(1, 3, 8, 8))
    kept = attach(small(), "se").eval()
    convert_norms(kept)
    kept(torch.ones(1, 3, 8, 8))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.features = nn.Sequential(self.stem, nn.BatchNorm2d(8), nn.ReLU())
        self.other = nn.Conv2d(3, 8, 3, padding=1)
        self.attention = None

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


def test_a_branch_that_is_not_run_is_told_of_once() -> None:
    model = attach(Branches(), "se[reduction=4]", ["other", "features"])
    with pytest.warns(UserWarning, match="the attention 'other_attention' did not run"):
        model(torch.ones(1, 3, 8, 8))
    model(torch.ones(1, 3, 8, 8))  # warnings are errors here


@pytest.mark.parametrize("name", ["stem", "features.0"])
def test_a_convolution_with_two_names_is_replaced_under_both(name: str) -> None:
    model = attach(Branches(), "aw", [name])
    assert model.features[0] is model.stem
    model(torch.randn(4, 3, 8, 8)).sum().backward()
    assert all(weight.grad is not None for weight in model.stem.parameters())


@pytest.mark.parametrize("attention", ["se", "aw+se", "ga:0010+hoga", "dcn"])
def test_detach_gives_the_plain_model_back(attention: str) -> None:
    plain = scrambled(small()).eval()
    model = attach(copy.deepcopy(plain), attention, identity=True)
    places = attached(model)
    assert {place.attention for place in places} == set(attention.split("+"))
    assert detach(model) is model
    assert attached(model) == []
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]
    x = image(1, 3, 9, 7)
    assert torch.equal(model(x), plain(x))


def test_detach_says_what_is_gone() -> None:
    model = attach(small(), "aa[size=4]")
    with pytest.raises(InputError, match=r"'layer1\.0\.conv1', .*the convolution .* is gone"):
        detach(model)


def test_hooks_of_a_convolution_stay_and_computed_weights_are_refused() -> None:
    model, seen = small(), []
    handle = model.conv1.register_forward_hook(lambda *_: seen.append(1))
    attach(model, "aw", ["conv1"])
    model(torch.ones(2, 3, 8, 8))
    handle.remove()
    model(torch.ones(2, 3, 8, 8))
    assert seen == [1]
    model = small()
    prune.l1_unstructured(model.conv1, "weight", 0.5)
    with pytest.raises(InputError, match="the weight of 'conv1' is computed"):
        attach(model, "aw", ["conv1"])


def test_a_whole_block_that_is_attended_is_still_a_block() -> None:
    model = attach(small(), "se", {"layer1.0": 8})
    assert [type(block) for block in blocks(model)] == [BasicBlock, BasicBlock]


def test_a_users_own_basic_block_is_refused() -> None:
    def decides(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(x) if x.sum() > 0 else x

    own = type("BasicBlock", (nn.Module,), {"forward": decides})()
    own.bn2 = nn.BatchNorm2d(8)
    with pytest.raises(
        InputError, match=r"has blocks of .*BasicBlock, which autola does not know and .*register_bl"
    ):
        attach(nn.Sequential(own), "se")
    own = type("BasicBlock", (nn.Module,), {"forward": lambda self, x: self.bn2(x)})()
    own.bn2 = nn.BatchNorm2d(8)
    with pytest.raises(InputError, match="has no residual block that autola knows, or finds by what it"):
        attach(nn.Sequential(own), "se")
