"""Places: found in the known families, or named by the user."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foundation.errors import InputError
from supernet.backbones import build_backbone
from supernet.families import FAMILIES
from supernet.sites import Site, find_sites, named_sites


@pytest.mark.parametrize(
    ("name", "block", "inner"),
    [
        ("resnet18", [64, 64, 128, 128, 256, 256, 512, 512], [64, 64, 128, 128, 256, 256, 512, 512]),
        ("cifar_resnet8", [16, 32, 64], [16, 32, 64]),
        (
            "resnet50",
            [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3,
            [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3,
        ),
        (
            "wide_resnet50_2",
            [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3,
            [128] * 3 + [256] * 4 + [512] * 6 + [1024] * 3,
        ),
    ],
)
def test_finds_every_block(name: str, block: list[int], inner: list[int]) -> None:
    with torch.device("meta"):
        model = build_backbone(name)
    assert [site.channels for site in find_sites(model, "block")] == block
    assert [site.channels for site in find_sites(model, "inner")] == inner


def test_bottlenecks_differ_by_place() -> None:
    with torch.device("meta"):
        for name in ("resnet50", "timm:resnet50"):
            model = build_backbone(name)
            assert find_sites(model, "block")[0] == Site(name="layer1.0.bn3", channels=256)
            assert find_sites(model, "inner")[0] == Site(name="layer1.0.bn2", channels=64)


@pytest.mark.parametrize("place", ["block", "inner"])
def test_models_without_known_blocks_are_refused(place) -> None:
    with pytest.raises(
        InputError, match=r"^Sequential has no residual block .*, such as '0': .* sites=\[\.\.\.\]\)$"
    ):
        find_sites(nn.Sequential(nn.Conv2d(3, 4, 1)), place)
    assert all(family.is_pyramid or (family.block and family.inner) for family in FAMILIES.values())


def user_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.GroupNorm(2, 8),
        nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(8, 4, 1)),
        nn.ReLU(),
        nn.Sequential(),
        nn.Linear(4, 2),
    )


def test_modules_tell_their_channels() -> None:
    found = named_sites(user_model(), ["0", "1", "2", "3", "3.1"])
    assert [(site.name, site.channels) for site in found] == [
        ("0", 8),
        ("1", 8),
        ("2", 8),
        ("3", 4),
        ("3.1", 4),
    ]


def test_a_mapping_tells_them_else() -> None:
    assert named_sites(user_model(), {"4": 4, "0": 8}) == [
        Site(name="4", channels=4, is_map=False),
        Site(name="0", channels=8),
    ]


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        (["3.2"], "unknown site '3.2'; did you mean 3.1 or 3.0"),
        ([""], "unknown site ''; known: 0, 1, 2, 3, 3.0, 3.1, 4, 5, 6"),
        (["4"], "the channels after '4' (ReLU) are not known; give them: sites={'4': channels}"),
        (["5"], "the channels after '5' (Sequential) are not known"),
        ([], "no sites were named"),
        ({}, "no sites were named"),
        ("3.1", "sites is a list of names: sites=['3.1']"),
        (["0", "1", "0"], "site '0' is named twice"),
        (["6"], "'6' is a Linear: it gives no map"),
        ({"0": 16}, "'0' gives 8 channels, not 16"),
        ({"4": 0}, "0 channels after '4': give a positive number"),
    ],
)
def test_bad_places_are_refused(sites, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        named_sites(user_model(), sites)
    assert expected in str(raised.value)


def test_errors_stay_short_in_deep_models() -> None:
    with torch.device("meta"):
        model = build_backbone("cifar_resnet110")
    with pytest.raises(InputError) as raised:
        named_sites(model, ["qqqq"])
    assert len(str(raised.value)) < 1000
