"""What folds norms into convolutions keeps the attention, or the next forward pass says that it is lost."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import fuse_modules
from torch.func import functional_call
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from foundation.errors import InputError
from supernet.attach import attach, detach
from tests.modules import image


class Block(nn.Module):
    """A residual block; the second convolution has a bias, so that nothing is told by one."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


def network(attention: str, sites: list[str] | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(Block(), Block())
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return attach(model, attention, sites, **options).double().eval()


@pytest.mark.parametrize("attention", ["se", "hoga"])
def test_a_fold_that_loses_attention_is_an_error(attention: str) -> None:
    model, x = network(attention), image(2, 8, 5, 7)
    model(x)
    for whole in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with pytest.raises(InputError, match=r"norm '0\.bn2' was folded .* autola\.detach first"):
            fuse(whole)(x)


def test_attention_between_a_convolution_and_its_norm_is_no_fold() -> None:
    model, x = network("se", ["0.conv1"]), image(2, 8, 5, 7)
    model(x)
    with pytest.raises(InputError, match=r"folded into '0\.conv1', though attention stands between"):
        fuse(model)(x)
    with pytest.raises(InputError, match="though attention stands between"):
        fuse_modules(copy.deepcopy(model), [["0.conv1", "0.bn1"]])(x)


def test_a_fold_that_keeps_attention_is_right() -> None:
    model, x = network("se"), image(2, 8, 5, 7)
    pairs = [[f"{block}.conv{n}", f"{block}.bn{n}"] for block in (0, 1) for n in (1, 2)]
    torch.testing.assert_close(fuse_modules(copy.deepcopy(model), pairs)(x), model(x))


def test_only_a_fold_is_an_error() -> None:
    model, x = network("se"), image(2, 8, 5, 7)
    model(x)
    alone = copy.deepcopy(model[0].conv2)
    torch.testing.assert_close(alone(x), model[0].conv2(x))
    twin = copy.deepcopy(model)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    torch.testing.assert_close(functional_call(twin, weights, (x,)), model(x))
    twin.load_state_dict(model.state_dict(), assign=True)
    torch.testing.assert_close(twin(x), model(x))
    plain = detach(model)
    torch.testing.assert_close(fuse(plain)(x), plain(x))
    assert not any(module._forward_hooks for module in plain.modules())


def test_half_of_a_blend_is_no_fold() -> None:
    model, x = network("aa", ["0.conv2"], identity=True, input_shape=(8, 5, 7)), image(2, 8, 5, 7)
    model(x)
    model[0].conv2 = fuse_conv_bn_eval(model[0].conv2, model[0].bn2)
    model[0].bn2 = nn.Identity()
    with pytest.raises(InputError, match=r"folded into '0\.conv2', but not into the attention"):
        model(x)


@pytest.mark.parametrize("attention", ["dcn", "aw"])
def test_an_operator_that_scales_with_its_weight_is_folded(attention: str) -> None:
    model, x = network(attention, ["0.conv2"]), image(2, 8, 5, 7)
    wanted = model(x)
    model[0].conv2 = fuse_conv_bn_eval(model[0].conv2, model[0].bn2)
    model[0].bn2 = nn.Identity()
    torch.testing.assert_close(model(x), wanted)


@pytest.mark.parametrize("attention", ["dcn", "aw"])
def test_a_plain_convolution_in_its_place_is_an_error(attention: str) -> None:
    model, x = network(attention, ["0.conv2"]), image(2, 8, 5, 7)
    model(x)
    old, bn = model[0].conv2, model[0].bn2
    folded: Any = nn.Conv2d(8, 8, 3, padding=1)
    folded.weight, folded.bias = fuse_conv_bn_weights(
        old.weight, old.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    model[0].conv2, model[0].bn2 = folded, nn.Identity()
    with pytest.raises(InputError, match=r"stood for '0\.conv2' is gone"):
        model(x)


@pytest.mark.parametrize("attention", ["se", "dcn"])
def test_what_goes_with_a_block_is_told_once(attention: str) -> None:
    model, x = network(attention, ["0.conv2", "1.conv2"]), image(2, 8, 5, 7)
    del model[1]
    with pytest.warns(UserWarning, match=r"attention of '1\.conv2' was taken out of the model with"):
        model(x)
    model(x)
