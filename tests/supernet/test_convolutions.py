"""attach instead of a convolution: places, keys, copies and compilers, and nothing changed where it fails."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FeaturePyramidNetwork

from evaluators.cost import macs
from foundation.errors import InputError
from search_space.convolution import ConvolutionOperator, FromConvolution
from search_space.grammar import parse_attention
from search_space.operator import OPERATORS, Place
from search_space.term import label
from supernet.attach import CHILD, attach
from supernet.backbones import build_backbone
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.sites import find_sites, named_sites
from tests.alone import alone
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

NAMES = [name for name, recipe in OPERATORS.items() if recipe.place == "conv"]
SHAPE = (3, 9, 7)


def small(width: int = 8) -> Any:
    torch.manual_seed(0)
    return CifarResNet((1, 1), num_classes=5, in_channels=3, width=width)


def on_meta(name: str, **options: int) -> nn.Module:
    with torch.device("meta"):
        return build_backbone(name, **options)


def replaced(model: nn.Module) -> list[str]:
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, ConvolutionOperator) and not name.endswith(".operator")
    ]


# Places.


@pytest.mark.parametrize(
    ("backbone", "count", "first", "last"),
    [
        ("resnet18", 8, "layer1.0.conv1", "layer4.1.conv1"),
        ("resnet50", 16, "layer1.0.conv2", "layer4.2.conv2"),
        ("resnet50_v1", 16, "layer1.0.conv2", "layer4.2.conv2"),
        ("timm:resnet18", 8, "layer1.0.conv1", "layer4.1.conv1"),
        ("timm:resnet50", 16, "layer1.0.conv2", "layer4.2.conv2"),
        ("cifar_resnet20", 9, "layer1.0.conv1", "layer3.2.conv1"),
        ("wide_resnet28_10", 12, "layer1.0.conv1", "layer3.3.conv1"),
        ("mobilenet_v1", 13, "blocks.0.conv2", "blocks.12.conv2"),
    ],
)
def test_finds_the_convolutions(backbone: str, count: int, first: str, last: str) -> None:
    model = on_meta(backbone)
    sites = find_sites(model, "conv")
    assert (len(sites), sites[0].name, sites[-1].name) == (count, first, last)
    for site in sites:
        conv = model.get_submodule(site.name)
        assert isinstance(conv, nn.Conv2d)
        assert conv.out_channels == site.channels
        assert conv.groups == 1
    model = attach(model, "aw+se")
    assert replaced(model) == [site.name for site in sites]
    assert model.eval()(torch.empty(2, 3, 33, 35, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    ("attention", "stages"),
    [
        ("aw", "1234"),
        ("aw[stages=34]", "34"),
        ("aa", "234"),
        ("aa[stages=3]", "3"),
        ("aa[stages=1234,kappa=0.5,upsilon=0.5]", "1234"),
    ],
)
def test_stages_are_chosen(attention: str, stages: str) -> None:
    model = attach(on_meta("resnet18"), attention, input_shape=(3, 64, 64))
    assert replaced(model) == [f"layer{stage}.{block}.conv1" for stage in stages for block in (0, 1)]
    assert label(parse_attention(attention)) == attention


def test_other_operators_choose_stages_too() -> None:
    model = attach(on_meta("resnet18"), "se[stages=24]")
    attended = {name.partition(".")[0] for name, _ in model.named_modules() if name.endswith(CHILD)}
    assert attended == {"layer2", "layer4"}


def test_the_last_three_stages_are_all_of_a_small_image_net() -> None:
    assert len(replaced(attach(on_meta("wide_resnet28_10"), "aa", input_shape=(3, 32, 32)))) == 12


def test_pyramids_have_lateral_and_output_convolutions() -> None:
    with torch.device("meta"):
        pyramid = FeaturePyramidNetwork([256, 512, 1024, 2048], 256)
        detector = resnet_fpn_backbone(backbone_name="resnet101", weights=None)
    before = num_parameters(pyramid)
    names = [f"{kind}.{level}.0" for kind in ("inner_blocks", "layer_blocks") for level in range(4)]
    assert replaced(attach(pyramid, "aw")) == names
    assert num_parameters(pyramid) - before == 114_944
    before = num_parameters(detector)
    assert len(find_sites(detector, "conv")) == 33, "without stages, the backbone's alone"
    attach(detector, "aw[stages=fpn]")
    assert replaced(detector) == [f"fpn.{name}" for name in names]
    assert num_parameters(detector) - before == 114_944
    maps = detector.eval()(torch.empty(1, 3, 64, 96, device="meta"))
    assert [maps[level].shape[2:] for level in "0123"] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_places_are_named(name: str) -> None:
    model = attach(on_meta("mnasnet1_0"), name, ["layers.8.0.layers.0"], input_shape=(3, 64, 64))
    assert replaced(model) == ["layers.8.0.layers.0"]
    assert model.eval()(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 10)


def test_a_size_is_that_of_the_map() -> None:
    model = attach(on_meta("resnet18"), "aa", input_shape=(3, 224, 160))
    for stage, (h, w) in {2: (28, 20), 3: (14, 10), 4: (7, 5)}.items():
        operator: Any = model.get_submodule(f"layer{stage}.0.conv1")
        assert (len(operator.rows), len(operator.columns)) == (2 * h - 1, 2 * w - 1)
    given = attach(on_meta("resnet18"), "aa[size=6]")
    assert {len(given.get_submodule(name).rows) for name in replaced(given)} == {11}  # type: ignore[arg-type]
    assert given.eval()(torch.empty(1, 3, 224, 160, device="meta")).shape == (1, 10)


# Weights and what the result is.


@pytest.mark.parametrize("backbone", ["cifar_resnet8", "resnet18", "timm:resnet18", "mobilenet_v1"])
def test_weights_of_the_plain_model_load(backbone: str) -> None:
    plain = scrambled(build_backbone(backbone)).float()
    model = attach(build_backbone(backbone), "aw", identity=True)
    names = replaced(model)
    result = model.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert result.missing_keys
    assert all(key.startswith(tuple(f"{name}." for name in names)) for key in result.missing_keys)
    x = torch.ones(1, 3, 33, 35)
    assert torch.equal(model.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("attention", ["aw", "aa[size=5]"])
def test_the_convolution_comes_first_and_the_scale_learns(attention: str, training: bool) -> None:
    plain = scrambled(small()).train(training)
    model: Any = attach(copy.deepcopy(plain), attention, identity=True)
    assert not model.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    x = image(2, *SHAPE)
    assert torch.equal(model(x), plain(x))
    model(x).square().sum().backward()
    assert all(model.get_submodule(name).scale.grad != 0 for name in replaced(model))


@pytest.mark.parametrize("attention", ["aw", "aa[size=5]"])
def test_at_scale_one_it_is_the_operator(attention: str) -> None:
    whole, eased = (
        scrambled(attach(small(), attention)).eval(),
        attach(small(), attention, identity=True).double().eval(),
    )
    eased.load_state_dict(whole.state_dict(), strict=False)
    for name in replaced(eased):
        stand_in = eased.get_submodule(name)
        if isinstance(stand_in, FromConvolution):
            stand_in.operator.load_state_dict(whole.get_submodule(name).state_dict())
    for name in replaced(eased):
        nn.init.ones_(eased.get_submodule(name).scale)
    x = image(2, *SHAPE)
    assert_equal(eased(x), whole(x), through=eased)


def test_the_block_uses_it() -> None:
    model = scrambled(attach(small(), "aw")).eval()
    block = model.layer1[0]
    x = image(2, 8, 5, 7)
    y = block.bn1(block.conv1.read(_state(x))).relu()
    assert_equal(block(x), (block.bn2(block.conv2(y)) + x).relu(), through=block)


def test_what_follows_a_convolution_follows_its_stand_in() -> None:
    model = scrambled(attach(small(), "aw+se", ["layer1.0.conv1"])).eval()
    conv = model.layer1[0].conv1
    assert type(conv).__name__ == "AWConvolution"
    x = image(2, 8, 5, 7)
    assert_equal(conv(x), model.layer1[0].conv1_attention(conv.read(_state(x))))
    alone = attach(small(), "aw", ["layer1.0.conv1"])
    se = num_parameters(OPERATORS["se"].build(8, bias=False))
    assert macs(model, SHAPE) - macs(alone, SHAPE) == se, "the attention behind it is counted"


@pytest.mark.parametrize("name", NAMES)
def test_has_the_kind_of_the_convolution(name: str) -> None:
    model = attach(small().double().eval(), name, input_shape=SHAPE)
    for place in replaced(model):
        operator = model.get_submodule(place)
        assert {parameter.dtype for parameter in operator.parameters()} == {torch.float64}
        assert not any(module.training for module in operator.modules())


@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_round_trip_and_copies_are_independent(name: str) -> None:
    first = scrambled(attach(small(), name, input_shape=SHAPE)).eval()
    second = scrambled(attach(small(), name, input_shape=SHAPE), 1).eval()
    x = image(2, *SHAPE)
    expected = first(x)
    twin = copy.deepcopy(first)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(x), expected)
    scrambled(first, 2)
    assert torch.equal(twin(x), expected)


@pytest.mark.parametrize("name", NAMES)
def test_trains_every_weight_also_under_autocast(name: str) -> None:
    model = attach(small(), name, input_shape=SHAPE)
    x = image(2, *SHAPE).float()
    model(x).sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


COMPILED = """
import torch
from supernet.attach import attach
from supernet.backbones.cifar_resnet import CifarResNet
from tests.supernet.compiled import check_compiled_and_exported

for attention, options in (("aw+se", {"identity": True}), ("aa", {"input_shape": (3, 9, 7)})):
    torch.manual_seed(0)
    model = attach(CifarResNet((1, 1), 5, 3, 8), attention, **options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    check_compiled_and_exported(model, x)
"""


@pytest.mark.slow
def test_compiles_and_exports() -> None:
    result = alone(COMPILED)
    assert result.returncode == 0, result.stderr


def test_networks_without_named_layers_have_stages_by_their_strides() -> None:
    with torch.device("meta"):
        mobile, mnas = build_backbone("mobilenet_v1"), build_backbone("mnasnet1_0")
    cases: list[tuple[nn.Module, Place, str]] = [
        (mobile, "conv", "01234"),
        (mnas, "conv", "1234"),
        (mnas, "block", "1234"),
    ]
    for model, place, strides in cases:
        whole = find_sites(model, place)
        apart = [find_sites(model, place, stages=stage) for stage in strides]
        assert all(apart)
        assert [site for sites in apart for site in sites] == whole
        assert find_sites(model, place, last_stages=2) == apart[-2] + apart[-1]
    assert [len(find_sites(mobile, "conv", stages=stage)) for stage in "01234"] == [1, 2, 2, 6, 2]


@pytest.mark.parametrize("attention", ["aa", "aw", "se", "ga:0010", "hoga", "dcn"])
def test_mnasnet_takes_attention(attention: str) -> None:
    with torch.device("meta"):
        plain = build_backbone("mnasnet0_5", num_classes=3)
        model = attach(build_backbone("mnasnet0_5", num_classes=3), attention, input_shape=(3, 64, 96))
        assert num_parameters(model) != num_parameters(plain)
        assert model(torch.empty(2, 3, 64, 96)).shape == (2, 3)


# Errors.


@pytest.mark.parametrize(
    ("attention", "options", "expected"),
    [
        (
            "aw+aa[size=3]",
            {},
            "aw and aa[size=3] both stand for the convolution 'layer1.0.conv1'; choose one",
        ),
        ("se+aw+aw", {}, "aw and aw both stand for the convolution"),
        ("aa", {}, "aa is made for one size of map: give the shape of the images, attach(..., input_shape="),
        ("aa", {"input_shape": (4, 9, 7)}, "CifarResNet cannot take images of 4 x 9 x 7: "),
        ("aa[kappa=1.5,size=3]", {}, "kappa=1.5 is not in (0, 1]"),
        ("aa[upsilon=0,size=3]", {}, "upsilon=0.0 is not in (0, 1]"),
        ("aa[heads=3,size=3]", {}, "so not every one of 3 heads has a value; raise upsilon or take fewer"),
        (
            "aa[kapa=0.5]",
            {},
            "`aa` has no option 'kapa'; it has: kappa, upsilon, heads, least, size, largest, stages",
        ),
        ("aw[stages=4]", {}, "CifarResNet has no stage 4 to attach to; it has: 1, 2"),
        ("aw[stages=fpn]", {}, "CifarResNet has no stage fpn to attach to; it has: 1, 2"),
        (
            "aw[stages=21]",
            {},
            "aw[stages=21]: name stages by their digits, as 234 for layer2 to layer4, or fpn",
        ),
        ("aw[stages=]", {}, "is not of the form key=value"),
        ("aw[spatial]", {}, "option 'spatial' in 'aw[spatial]' is not of the form key=value"),
        ("cbam[spacial]", {}, "cbam[form=spacial]: Input should be 'full', 'maxpool' or 'spatial'"),
        (
            "aw[stages=1]",
            {"sites": ["conv1"]},
            "stages choose among the sites found; leave them out or sites",
        ),
        (
            "se+aw",
            {"sites": ["layer1.0.bn1"]},
            "'layer1.0.bn1' is a BatchNorm2d; did you mean layer1.0.conv1",
        ),
        ("aw", {"sites": {"layer1": 8}}, "aw stands for a convolution, and 'layer1' is a Sequential"),
        ("aw", {"sites": ["layer1.0.conv3"]}, "unknown site 'layer1.0.conv3'; did you mean layer1.0.conv2"),
        ("aa[size=3]", {"sites": ["conv1", "conv1"]}, "site 'conv1' is named twice"),
    ],
)
def test_errors_leave_the_model_unchanged(attention: str, options: dict[str, Any], expected: str) -> None:
    model = small()
    before = {name: (id(module), type(module)) for name, module in model.named_modules()}
    with pytest.raises(InputError) as raised:
        attach(model, attention, **options)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert {name: (id(module), type(module)) for name, module in model.named_modules()} == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("again", ["aw", "aa", "se+aw"])
def test_a_convolution_is_replaced_once(name: str, again: str) -> None:
    model = attach(small(), name, input_shape=SHAPE)
    with pytest.raises(InputError, match=r"^'layer1\.0\.conv1' has attention already; attach to the plain"):
        attach(model, again, input_shape=SHAPE)
    model = attach(small(), "se", ["layer1.0.conv1"])
    with pytest.raises(InputError, match=r"^'layer1\.0\.conv1' has attention already; attach to the plain"):
        attach(model, again, input_shape=SHAPE)


def test_models_without_known_convolutions_ask_for_them() -> None:
    with pytest.raises(InputError, match=r"name the convolutions that attention should stand for: attach\("):
        find_sites(nn.Sequential(nn.Conv2d(3, 4, 1)), "conv")
    model = attach(nn.Sequential(nn.Conv2d(3, 16, 3, padding=1)), "aa[size=4]", ["0"])
    assert model(torch.ones(1, 3, 5, 7)).shape == (1, 16, 5, 7)
    assert [site.channels for site in named_sites(model, ["0"])] == [16]


def _state(x: torch.Tensor) -> Any:
    from search_space.state import State

    return State(x)
