"""attach: any backbone, its own keys, and nothing changed where it fails."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.operator import OPERATORS
from supernet.attach import CHILD, FromIdentity, attach, attached, convert_norms
from supernet.backbones import build_backbone
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.families import family_of
from tests.alone import alone
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2"]
BACKBONES = [
    *RESNETS,
    "wide_resnet101_2",
    *(f"timm:{name}" for name in RESNETS),
    "timm:resnet50d",
    "cifar_resnet20",
    "cifar_resnet34",
    "cifar_resnet56",
]
AFTER_MODULES = [name for name, recipe in OPERATORS.items() if name != "none" and recipe.place != "conv"]


def small(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return CifarResNet((1, 1), num_classes=5, in_channels=3, width=width)


def on_meta(name: str, **options: int) -> nn.Module:
    with torch.device("meta"):
        return build_backbone(name, **options)


class Users(nn.Module):
    """A user's own module; `pool` does not tell its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        return self.pool(self.stem(x) * scale)


# Every family.


@pytest.mark.parametrize("attention", ["se", "cbam+hoga"])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_block_of_every_family_gets_it(name: str, attention: str) -> None:
    plain, model = on_meta(name), attach(on_meta(name), attention)
    shapes = {key: tensor.shape for key, tensor in plain.state_dict().items()}
    attended_shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    assert {key: attended_shapes.get(key) for key in shapes} == shapes
    added = set(attended_shapes) - set(shapes)
    assert all(f"_{CHILD}." in key for key in added)
    attended = {key.partition(f"_{CHILD}.")[0] for key in added}
    num_blocks = sum(family_of(module) is not None for module in plain.modules())
    per_block = 2 if attention == "cbam+hoga" and "layer1.0.bn3" in attended else 1
    assert len(attended) == num_blocks * per_block
    assert model.eval()(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("name", ["cifar_resnet8", "resnet18", "timm:resnet18"])
def test_weights_of_the_plain_model_load(name: str) -> None:
    plain = scrambled(build_backbone(name)).float()
    model = attach(build_backbone(name), "cbam+hoga", identity=True)
    result = model.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert result.missing_keys
    assert all(f"_{CHILD}." in key for key in result.missing_keys)
    x = torch.ones(1, 3, 33, 35)
    assert torch.equal(model.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("width", [4, 12, 16, 64])
def test_cifar_nets_of_any_width(width: int) -> None:
    model = attach(small(width), "hoga+se")
    assert model(torch.ones(2, 3, 9, 7)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "options", "attention", "expected"),
    [
        ("cifar_resnet20", {}, "none", 272_474),
        ("cifar_resnet20", {}, "se", 274_847),
        ("cifar_resnet20", {}, "se[bias=false]", 274_490),
        ("cifar_resnet20", {}, "cbam", 275_747),
        ("cifar_resnet20", {}, "hoga", 333_731),
        ("cifar_resnet32", {}, "se[bias=false]", 470_266),
        ("cifar_resnet32", {}, "cbam", 472_361),
        ("cifar_resnet32", {}, "hoga", 569_001),
        ("cifar_resnet56", {}, "se[bias=false]", 861_818),
        ("cifar_resnet56", {}, "cbam", 865_589),
        ("cifar_resnet56", {}, "hoga", 1_039_541),
        ("cifar_resnet20", {"width": 64, "num_classes": 100}, "se[bias=false]", 4_383_140),
        ("cifar_resnet20", {"width": 64, "num_classes": 100}, "cbam", 4_385_468),
        ("cifar_resnet20", {"width": 64, "num_classes": 100}, "hoga", 5_193_644),
        ("resnet18", {"num_classes": 1000}, "hoga", 13_911_616),
        ("resnet34", {"num_classes": 1000}, "hoga", 25_819_732),
        ("resnet50", {"num_classes": 1000}, "hoga", 29_579_092),
        ("timm:resnet50", {"num_classes": 1000}, "hoga", 29_579_092),
        ("resnet101", {"num_classes": 1000}, "hoga", 52_164_408),
        ("resnet50", {"num_classes": 1000}, "se", 25_557_032 + 2_530_992),
    ],
)
def test_has_the_published_parameters(
    name: str, options: dict[str, int], attention: str, expected: int
) -> None:
    assert num_parameters(attach(on_meta(name, **options), attention)) == expected


# Where it sits.


def test_in_a_basic_block_it_follows_the_last_norm() -> None:
    model = scrambled(attach(small(), "hoga")).eval()
    block: Any = model.get_submodule("layer2.0")
    x = image(2, 8, 5, 7)
    attention = block.bn2_attention
    inner = nn.functional.batch_norm(
        block.conv2(block.bn1(block.conv1(x)).relu()),
        block.bn2.running_mean,
        block.bn2.running_var,
        block.bn2.weight,
        block.bn2.bias,
    )
    expected = (attention(inner) + block.downsample(x)).relu()
    assert_equal(block(x), expected, through=block)


@pytest.mark.parametrize("bottleneck", [Bottleneck, timm.models.resnet.Bottleneck])
def test_in_a_bottleneck_hoga_is_inside_and_se_at_the_end(bottleneck: type[nn.Module]) -> None:
    model: Any = scrambled(nn.Sequential(bottleneck(32, 8))).eval()
    plain = copy.deepcopy(model)[0]
    attach(model, "hoga+se[reduction=4]")
    scrambled(model[0].bn2_attention, 1)
    scrambled(model[0].bn3_attention, 2)
    hoga, se = model[0].bn2_attention, model[0].bn3_attention
    assert [type(hoga).__name__, type(se).__name__] == ["FoundCell", "SqueezeExcite"]
    x = image(2, 32, 5, 7)
    y = plain.bn1(plain.conv1(x)).relu()
    y = hoga(plain.bn2(plain.conv2(y))).relu()
    y = se(plain.bn3(plain.conv3(y)))
    assert_equal(model(x), (y + x).relu(), through=model)


def test_terms_run_in_their_order() -> None:
    model: Any = scrambled(attach(small(), "se+cbam", ["layer1.0.bn1"])).eval()
    plain = small().double().eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    x = image(2, 8, 5, 7)
    first, second = model.get_submodule("layer1.0.bn1_attention")
    assert [type(first).__name__, type(second).__name__] == ["SqueezeExcite", "CBAM"]
    expected = second(first(plain.get_submodule("layer1.0.bn1")(x)))
    assert_equal(model.get_submodule("layer1.0.bn1")(x), expected)


@pytest.mark.parametrize("name", AFTER_MODULES)
def test_a_users_module_takes_every_operator(name: str) -> None:
    model: Any = attach(Users(), name, {"pool": 8, "stem": 8}).double()
    plain = Users().double()
    plain.load_state_dict(model.state_dict(), strict=False)
    x = image(2, 3, 11, 9)
    expected = model.stem_attention(plain.stem(x)) * 0.5
    expected = model.pool_attention(plain.pool(expected))
    assert_equal(model(x, scale=0.5), expected, through=model)


def test_parsed_terms_will_do() -> None:
    model = attach(Users(), parse_attention("se"), ["stem"])
    assert type(model.get_submodule("stem_attention")) is type(OPERATORS["se"].build(8))


def test_none_changes_nothing() -> None:
    model = small()
    before = {name: type(module) for name, module in model.named_modules()}
    assert attach(model, "none") is model
    assert {name: type(module) for name, module in model.named_modules()} == before


def test_attended_modules_stay_what_they_were() -> None:
    model = attach(small(), "se")
    norm = model.get_submodule("layer1.0.bn2")
    assert isinstance(norm, nn.BatchNorm2d)
    assert type(norm) is nn.BatchNorm2d


# Kind, device and mode of the backbone.


@pytest.mark.parametrize("place", ["stem", "pool"])
def test_attention_has_the_kind_of_the_backbone(place: str) -> None:
    model = attach(Users().double().eval(), "hoga", {place: 8})
    attention = model.get_submodule(f"{place}_attention")
    assert {parameter.dtype for parameter in attention.parameters()} == {torch.float64}
    assert not any(module.training for module in attention.modules())
    assert model(image(1, 3, 7, 9)).dtype == torch.float64
    with torch.device("meta"):
        plain = Users()
    attach(plain, "se", {place: 8})
    assert {parameter.device.type for parameter in plain.parameters()} == {"meta"}


# Copies, files, compilers.


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize("attention", ["se", "hoga", "cbam+hoga"])
def test_state_dict_round_trips(attention: str, identity: bool) -> None:
    first = scrambled(attach(small(), attention, identity=identity)).eval()
    second = scrambled(attach(small(), attention, identity=identity), 1).eval()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    x = image(2, 3, 9, 7)
    assert torch.equal(first(x), second(x))


def test_copies_are_independent() -> None:
    model = scrambled(attach(small(), "hoga")).eval()
    x = image(2, 3, 9, 7)
    before = model(x)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), before)
    scrambled(twin.get_submodule("layer1.0.bn2_attention"), 1)
    assert torch.equal(model(x), before)
    assert not torch.equal(twin(x), before)


def test_training_reaches_the_attention() -> None:
    model = attach(small(), "hoga+se").double()
    model(image(2, 3, 9, 7)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.eval()
    assert not model.get_submodule("layer1.0.bn2_attention").training


COMPILED = """
import torch
from supernet.attach import attach
from supernet.backbones.cifar_resnet import CifarResNet
from tests.supernet.compiled import check_compiled_and_exported

torch.manual_seed(0)
model = attach(CifarResNet((1,), 5, 3, 8), "hoga+se", identity=True).double()
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.5)
x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
check_compiled_and_exported(model, x)
"""


@pytest.mark.slow
def test_compiles_and_exports() -> None:
    result = alone(COMPILED)
    assert result.returncode == 0, result.stderr


# The identity at first.


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("attention", ["se", "hoga", "cbam+hoga"])
def test_identity_changes_nothing_at_first(attention: str, training: bool) -> None:
    plain = scrambled(small()).train(training)
    model = attach(copy.deepcopy(plain), attention, identity=True)
    x = image(2, 3, 9, 7)
    assert torch.equal(model(x), plain(x))


@pytest.mark.parametrize("attention", ["se", "hoga", "cbam+hoga"])
def test_identity_is_the_attention_at_scale_one(attention: str) -> None:
    model = scrambled(attach(small(), attention)).eval()
    eased = scrambled(attach(small(), attention, identity=True)).eval()
    own = {key.replace(".inner.", "."): key for key in eased.state_dict()}
    eased.load_state_dict({own[key]: value for key, value in model.state_dict().items()}, strict=False)
    scales = [module.scale for module in eased.modules() if isinstance(module, FromIdentity)]
    assert len(scales) == 2 * (1 + attention.count("+"))
    x = image(2, 3, 9, 7)
    for value, equal in ((1.0, True), (0.5, False)):
        for scale in scales:
            nn.init.constant_(scale, value)
        assert torch.allclose(eased(x), model(x), rtol=0, atol=1e-12) == equal


def test_the_scale_learns_at_once() -> None:
    model = attach(small(), "hoga", identity=True).double()
    model(image(2, 3, 9, 7)).square().sum().backward()
    scales = [module.scale for module in model.modules() if isinstance(module, FromIdentity)]
    assert all(scale.grad is not None and scale.grad != 0 for scale in scales)


# Errors.


@pytest.mark.parametrize(
    ("attention", "sites", "expected"),
    [
        ("cbma", None, "unknown attention 'cbma'; did you mean cbam"),
        ("se+", None, "cannot read attention"),
        ("se", ["layer1.0.bn4"], "unknown site 'layer1.0.bn4'; did you mean layer1.0.bn2"),
        ("se", ["layer1.0.bn2", "layer9"], "unknown site 'layer9'; did you mean layer2 or layer1"),
        ("se", ["layer1.0.downsample"], "the channels after 'layer1.0.downsample' (Identity) are not known"),
        ("hoga", None, "10 channels do not split into 4 equal groups"),
        ("se+hoga", {"layer1.0.downsample": 7}, "7 channels do not split into 4 equal groups"),
        ("se[reduction=0]", None, "reduction=0 is not positive"),
        ("se", [], "no sites were named"),
    ],
)
def test_errors_leave_the_model_unchanged(attention: str, sites, expected: str) -> None:
    model = small(10)
    before = {name: type(module) for name, module in model.named_modules()}
    with pytest.raises(InputError) as raised:
        attach(model, attention, sites)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert {name: type(module) for name, module in model.named_modules()} == before


@pytest.mark.parametrize("again", ["se", "hoga", "se+cbam"])
def test_attention_is_attached_once(again: str) -> None:
    model = scrambled(attach(small(), "se")).eval()
    x = image(1, 3, 9, 7)
    before = model(x)
    with pytest.raises(
        InputError, match=r"^'layer1\.0\.bn2' has attention already; attach to the plain model$"
    ):
        attach(model, again)
    assert torch.equal(model(x), before)


def test_a_model_half_attended_is_refused_whole() -> None:
    model = attach(small(), "se", ["layer2.0.bn2"])
    with pytest.raises(InputError, match=r"'layer2\.0\.bn2' has attention already"):
        attach(model, "se")
    assert [place.place for place in attached(model)] == ["layer2.0.bn2"]


def test_unknown_families_ask_for_places() -> None:
    with pytest.raises(
        InputError, match=r"Users has no residual block that autola knows, or .*; in Python, name the modules"
    ):
        attach(Users(), "se")


@pytest.mark.parametrize("attention", ["se", "hoga", "ga:0010"])
def test_synchronised_norms_keep_their_attention(attention: str) -> None:
    model = scrambled(attach(small(), attention)).eval()
    x = image(1, 3, 9, 7)
    before, keys = model(x), list(model.state_dict())
    convert_norms(model)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert list(model.state_dict()) == keys
    assert torch.equal(model(x), before)
