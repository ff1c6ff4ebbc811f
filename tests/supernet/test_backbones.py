"""Backbones: every registered one builds, answers, and has its published size."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from foundation.errors import InputError
from supernet.backbones import BACKBONES, CIFAR, IMAGENET, build_backbone, usual_images
from supernet.backbones.cifar_resnet import BasicBlock, CifarResNet
from supernet.backbones.mobilenet import MobileNet, SeparableBlock
from supernet.backbones.wide_resnet import WideBlock, WideResNet
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

NAMES = [name for name in BACKBONES if not name.endswith(":")]
MEMBERS = {"timm:": "timm:resnet18"}


def on_meta(name: str, **options: int) -> nn.Module:
    with torch.device("meta"):
        return build_backbone(name, **options)


def test_every_family_has_a_member_here() -> None:
    assert {name for name in BACKBONES if name.endswith(":")} == set(MEMBERS)


@pytest.mark.parametrize("name", [*NAMES, *MEMBERS.values()])
def test_classifies(name: str) -> None:
    model = on_meta(name, num_classes=7, in_channels=1).eval()
    assert model(torch.empty(2, 1, 33, 35, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("cifar_resnet20", {}, 272_474),
        ("cifar_resnet32", {}, 466_906),
        ("cifar_resnet56", {}, 855_770),
        ("cifar_resnet20", {"width": 64, "num_classes": 100}, 4_350_884),
        ("resnet18", {"num_classes": 1000}, 11_689_512),
        ("resnet50", {"num_classes": 1000}, 25_557_032),
        ("timm:resnet50", {"num_classes": 1000}, 25_557_032),
        ("resnet50_v1", {"num_classes": 1000}, 25_557_032),
        ("mobilenet_v1", {"num_classes": 1000}, 4_231_976),
        ("wide_resnet28_10", {"num_classes": 100}, 36_278_324),
    ],
)
def test_has_the_published_size(name: str, options: dict[str, int], expected: int) -> None:
    assert num_parameters(on_meta(name, **options)) == expected


def test_a_backbone_says_what_images_it_is_for() -> None:
    small = {name for name in NAMES if usual_images(name) == CIFAR}
    made = {name for name in NAMES if type(on_meta(name)) in (CifarResNet, WideResNet)}
    assert small == made
    assert "wide_resnet16_4" in small
    assert {usual_images(name) for name in {*NAMES, "timm:resnet18"} - small} == {IMAGENET}
    with pytest.raises(InputError, match="unknown backbone"):
        usual_images("cifar_resnet21")


@pytest.mark.parametrize("depth", [8, 14, 20, 32, 44, 56, 110])
def test_depth_counts_the_weighted_layers(depth: int) -> None:
    model = on_meta(f"cifar_resnet{depth}")
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert len(layers) == depth


def test_the_net_of_the_public_script_has_four_stages() -> None:
    model = on_meta("cifar_resnet34")
    assert isinstance(model, CifarResNet)
    stages = [model.get_submodule(f"layer{i}") for i in range(1, 5)]
    assert [len(list(stage.children())) for stage in stages] == [3, 4, 6, 3]
    widths = [block.bn2.num_features for block in model.modules() if isinstance(block, BasicBlock)]
    assert widths == [16] * 3 + [32] * 4 + [64] * 6 + [128] * 3


def test_a_cifar_net_equals_its_formula() -> None:
    model = scrambled(CifarResNet((1, 1), num_classes=3, in_channels=2, width=4)).eval()
    assert [name for name, _ in model.named_children()] == ["conv1", "bn1", "layer1", "layer2", "fc"]
    first, second = model.get_submodule("layer1.0"), model.get_submodule("layer2.0")
    assert isinstance(first, BasicBlock)
    assert isinstance(second, BasicBlock)
    x = image(2, 2, 7, 9)
    y = model.bn1(model.conv1(x)).relu()
    y = (first.bn2(first.conv2(first.bn1(first.conv1(y)).relu())) + y).relu()
    shortcut = second.downsample(y)
    y = (second.bn2(second.conv2(second.bn1(second.conv1(y)).relu())) + shortcut).relu()
    assert y.shape == (2, 8, 4, 5)
    assert_equal(model(x), model.fc(y.mean((2, 3))), through=model)


def test_the_first_version_strides_in_the_first_convolution() -> None:
    first, later = on_meta("resnet50_v1").state_dict(), on_meta("resnet50").state_dict()
    assert {key: value.shape for key, value in first.items()} == {
        key: value.shape for key, value in later.items()
    }
    model = on_meta("resnet50_v1")
    for stage in range(1, 5):
        for name, block in model.get_submodule(f"layer{stage}").named_children():
            stride = (2, 2) if stage > 1 and name == "0" else (1, 1)
            assert block.get_submodule("conv1").stride == stride
            assert block.get_submodule("conv2").stride == (1, 1)


def test_a_mobilenet_equals_its_formula() -> None:
    model = scrambled(MobileNet(num_classes=3, in_channels=2, width=2)).eval()
    x = image(2, 2, 33, 35)
    y = model.bn1(model.conv1(x)).relu()
    for block in model.blocks:
        assert isinstance(block, SeparableBlock)
        assert block.conv1.groups == block.conv1.in_channels
        y = block.bn2(block.conv2(block.bn1(block.conv1(y)).relu())).relu()
    assert y.shape == (2, 64, 2, 2)
    assert_equal(model(x), model.fc(y.mean((2, 3))), through=model)


def test_a_wide_resnet_equals_its_formula() -> None:
    model = scrambled(WideResNet(1, num_classes=3, in_channels=2, width=20)).eval()
    x = image(2, 2, 9, 7)
    y = model.conv1(x)
    for name, channels, stride in (("layer1.0", 20, 1), ("layer2.0", 40, 2), ("layer3.0", 80, 2)):
        block = model.get_submodule(name)
        assert isinstance(block, WideBlock)
        shortcut = torch.zeros_like(y).repeat(1, 5, 1, 1)[:, :channels, ::stride, ::stride].clone()
        shortcut[:, : y.shape[1]] = y[:, :, ::stride, ::stride]
        y = block.conv2(block.bn2(block.conv1(block.bn1(y).relu())).relu()) + shortcut
    assert_equal(model(x), model.fc(model.bn1(y).relu().mean((2, 3))), through=model)


def test_mnasnet_is_unchanged() -> None:
    ours = build_backbone("mnasnet0_5", num_classes=5)
    theirs = models.mnasnet0_5(num_classes=5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.ones(1, 3, 33, 35)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_torchvision_is_unchanged() -> None:
    ours = build_backbone("resnet18", num_classes=5)
    theirs = models.resnet18(num_classes=5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.ones(1, 3, 33, 35)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_in_channels_change_the_stem_alone() -> None:
    plain, grey = on_meta("resnet18").state_dict(), on_meta("resnet18", in_channels=1).state_dict()
    assert [key for key in plain if plain[key].shape != grey[key].shape] == ["conv1.weight"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("resnt18", {}, "unknown backbone 'resnt18'; did you mean resnet18"),
        ("tim:resnet18", {}, "unknown backbone 'tim:'; did you mean timm:"),
        ("timm:resnt18", {}, "unknown timm model 'resnt18'; did you mean resnet18"),
        ("timm:qqqq", {}, "unknown timm model 'qqqq'; known: "),
        ("resnet18", {"width": 32}, "backbone resnet18 has a fixed width"),
        ("resnet50_v1", {"width": 32}, "backbone resnet50_v1 has a fixed width"),
        ("mnasnet1_0", {"width": 32}, "backbone mnasnet1_0 has a fixed width"),
        ("mobilnet_v1", {}, "unknown backbone 'mobilnet_v1'; did you mean mobilenet_v1"),
        ("timm:resnet18", {"width": 32}, "backbone timm:resnet18 has a fixed width"),
        ("cifar_resnet20", {"width": 0}, "width=0 is not in 1 ... 65536"),
        ("cifar_resnet20", {"width": 10**9}, "width=1000000000 is not in 1 ... 65536"),
        ("cifar_resnet20", {"num_classes": 10**15}, "is larger than the memory"),
        ("cifar_resnet20", {"num_classes": 0}, "num_classes=0 is not positive"),
        ("cifar_resnet20", {"in_channels": -1}, "in_channels=-1 is not positive"),
    ],
)
def test_bad_backbones_are_refused(name: str, options: dict[str, int], expected: str) -> None:
    with pytest.raises(InputError) as raised:
        build_backbone(name, **options)
    assert expected in str(raised.value)
    assert len(str(raised.value)) < 1000
