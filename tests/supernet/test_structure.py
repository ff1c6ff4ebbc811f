"""Residual blocks are found by what they compute, whatever they are called; others are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from foundation.errors import InputError
from supernet import sites
from supernet.attach import attach, attached, detach
from supernet.families import FAMILIES, BlockFamily
from supernet.structure import structural_families
from tests.modules import image


class Step(nn.Module):
    """A convolution with norm and activation, as YOLO's: `fused` is what its library makes of it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Narrow(nn.Module):
    """A bottleneck of steps; without `add` it is no residual block."""

    def __init__(self, channels: int, add: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = Step(channels, channels // 2), Step(channels // 2, channels), add

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class Split(nn.Module):
    """Half of the channels pass by the blocks, as in YOLO's C2f."""

    def __init__(self, channels: int, count: int, add: bool = True) -> None:
        super().__init__()
        self.cv1 = Step(channels, channels, 1)
        self.m = nn.ModuleList(Narrow(channels // 2, add) for _ in range(count))
        self.cv2 = Step((2 + count) * channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class Yolo(nn.Module):
    """The backbone and neck of a detector, as YOLO lays them out."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(Step(3, 16), Split(16, 2), nn.MaxPool2d(2), Split(16, 1, add=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Before(nn.Module):
    """A block with its norms before its convolutions, called as torchvision calls another one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        return self.conv2(torch.relu(self.bn2(y))) + x


class Gated(nn.Module):
    """A block with a gate of its own at the end of the branch, a scale, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(Step(channels, channels), nn.Conv2d(channels, 12, 3, padding=1))
        self.norm = nn.GroupNorm(3, 12)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 12, 1), nn.Sigmoid())
        self.shortcut = nn.Conv2d(channels, 12, 1)
        self.gamma = nn.Parameter(torch.ones(12, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.layer(x))
        y = self.gamma * (y * self.gate(y))
        y += self.shortcut(x)
        return torch.relu(y)


class LastChannels(nn.Module):
    """A ConvNeXt block: channels come last in its branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.first, self.second = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.other = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(self.conv(x).permute(0, 2, 3, 1)).relu()).permute(0, 3, 1, 2)
        return self.other(x) + y


class Ghost(nn.Module):
    """Both sides of the sum share their first convolution: no shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.primary, self.cheap = Step(channels, channels, 1), Step(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        return y + self.cheap(y)


class Joined(nn.Module):
    """What is summed was concatenated on the way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = Step(channels, channels // 2), Step(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.cat((self.a(x), self.b(x)), 1)


class Deciding(nn.Module):
    """Cannot be traced: what it computes depends on the numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = Step(channels, channels), Step(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x)) if x.sum() > 0 else x


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "_reported", set())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_known_families_are_found_as_they_are_registered(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    kind = "BasicBlock" if name == "resnet18" else "Bottleneck"
    known = FAMILIES[f"torchvision.models.resnet.{kind}"]
    found = structural_families(model)
    assert set(found.values()) == {known}
    assert list(found) == [name for name, module in model.named_modules() if type(module).__name__ == kind]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (
            Narrow(8),
            BlockFamily(block=("cv2",), inner=("cv2",), activation="", conv=("cv1.conv",)),
        ),
        (
            Before(8),
            BlockFamily(block=("conv2",), inner=("conv2",), activation="conv2", conv=("conv1",)),
        ),
        (
            Gated(8),
            BlockFamily(block=("norm",), inner=("norm",), activation="layer.1", conv=("layer.0.conv",)),
        ),
    ],
    ids=["steps", "norms before", "gated"],
)
def test_parts_are_told_by_their_place(block: nn.Module, parts: BlockFamily) -> None:
    (found,) = structural_families(nn.Sequential(block)).values()
    assert (found.block, found.inner, found.conv) == (parts.block, parts.inner, parts.conv)


@pytest.mark.parametrize("kind", [LastChannels, Ghost, Joined, Deciding])
def test_what_is_no_residual_block_is_not_found(kind: type[Any]) -> None:
    model = nn.Sequential(kind(8))
    assert structural_families(model) == {}
    with pytest.raises(InputError, match="has no residual block that autola knows, or finds by what it"):
        attach(model, "se")


def test_blocks_without_a_sum_are_none_among_those_with_one(caplog: pytest.LogCaptureFixture) -> None:
    model = Yolo().double().eval()
    x, keys = image(1, 3, 9, 7), set(model.state_dict())
    plain = model(x)
    attach(model, "se", identity=True)
    assert [place.place for place in attached(model)] == ["model.1.m.0.cv2", "model.1.m.1.cv2"]
    assert keys < set(model.state_dict())
    assert torch.equal(model(x), plain)
    (said,) = caplog.messages
    assert said.startswith("Yolo: blocks were found by what they compute: 2 Narrow (model.1.m.0.cv2 ...); ")
    assert torch.equal(detach(model)(x), plain)
    attach(model, "aw")
    assert [place.place for place in attached(model)] == ["model.1.m.0.cv1.conv", "model.1.m.1.cv1.conv"]
    assert len(caplog.messages) == 1, "it is said once"


def test_a_step_that_is_fused_keeps_its_attention() -> None:
    model = attach(Yolo(), "cbam").double().eval()
    x = image(1, 3, 9, 7)
    before = model(x)
    for module in model.modules():
        if isinstance(module, Step):  # as YOLO's library folds its norms
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    assert (model(x) - before).abs().max() < 1e-12
    assert len(attached(model)) == 2


def test_copies_of_known_blocks_are_traced_not_guessed(caplog: pytest.LogCaptureFixture) -> None:
    own = type("BasicBlock", (Before,), {})
    attach(model := nn.Sequential(own(8)), "se")
    assert [place.place for place in attached(model)] == ["0.conv2"]
    assert "1 BasicBlock (0.conv2 ...)" in caplog.text


@pytest.mark.parametrize(
    ("name", "count"),
    [("mobilenet_v2", 10), ("mobilenet_v3_small", 6), ("efficientnet_b0", 9), ("regnet_y_400mf", 16)],
)
def test_attention_starts_as_the_identity_everywhere(name: str, count: int) -> None:
    torch.manual_seed(0)
    model = torchvision.models.get_model(name).eval()
    x = torch.randn(1, 3, 64, 64)
    plain = model(x)
    attach(model, "se+hoga", identity=True)
    assert len(attached(model)) >= count
    assert torch.equal(model(x), plain)
