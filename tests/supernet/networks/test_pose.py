"""The simple baseline for poses: its layers, its size, its places for attention."""

import pytest
import torch
from torch import nn
from torchvision import models

from evaluators.cost import macs, params
from foundation.errors import InputError
from supernet.attach import attach
from supernet.networks.pose import STRIDE, SimpleBaseline
from tests.equality import assert_equal


def test_size_is_that_of_its_layers():
    network = SimpleBaseline("resnet50", 17).to("meta")
    stages = 25_557_032 - 1000 * 2049
    head = 16 * 256 * (2048 + 256 + 256) + 3 * 2 * 256 + 17 * 257
    assert params(network) == stages + head == 33_999_697
    shape = (3, 256, 192)
    # A deconvolution multiplies each of its inputs by its whole kernel: maps of 8x6, 16x12 and 32x24.
    deconvolutions = 16 * 256 * (2048 * 8 * 6 + 256 * 16 * 12 + 256 * 32 * 24)
    whole = models.resnet50().to("meta")
    assert macs(network, shape) == macs(whole, shape) - 2048 * 1000 + deconvolutions + 17 * 256 * 64 * 48


def test_a_map_for_each_keypoint_of_a_quarter_of_the_side():
    network = SimpleBaseline("resnet18", 17).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 64, 96)).shape == (1, 17, 64 // STRIDE, 96 // STRIDE)


def test_it_is_the_stages_then_the_head_as_written():
    torch.manual_seed(0)
    network = SimpleBaseline("resnet18", 3, channels=8).double().eval()
    plain = models.resnet18().double().eval()
    plain.load_state_dict(network.backbone.state_dict(), strict=False)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    y = nn.Sequential(*list(plain.children())[:-2])(x)
    for number in range(3):
        deconvolution, norm = network.deconvolutions[3 * number], network.deconvolutions[3 * number + 1]
        assert isinstance(deconvolution, nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        y = nn.functional.conv_transpose2d(y, deconvolution.weight, stride=2, padding=1)
        y = torch.relu((y - norm.running_mean[:, None, None]) / (1 + norm.eps) ** 0.5)  # type: ignore[index]
    y = torch.einsum("bchw,kc->bkhw", y, network.head.weight[:, :, 0, 0])
    assert_equal(network(x), y, through=network)
    assert network.head.weight.std() < 0.002


def test_keys_of_the_stages_are_torchvisions():
    names = set(models.resnet34().state_dict()) - {"fc.weight", "fc.bias"}
    assert set(SimpleBaseline("resnet34", 2, channels=4).backbone.state_dict()) == names


def test_attention_goes_into_the_backbone():
    network = SimpleBaseline("resnet18", 17, channels=8)
    before = params(network)
    attach(network, "hoga")
    # 13,911,616 - 11,689,512: what a HOGA adds to resnet18.
    assert params(network) - before == 2_222_104


def test_other_backbones_are_refused():
    with pytest.raises(InputError, match="'cifar_resnet8' is no torchvision ResNet"):
        SimpleBaseline("cifar_resnet8", 17)
