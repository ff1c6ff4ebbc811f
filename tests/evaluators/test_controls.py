"""Plain networks as slow as one with attention: what is built, what is measured, and how often."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from itertools import count

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck

import autola
from evaluators.controls import Control, controls
from evaluators.cost import macs, params
from evaluators.latency import latency_ratio
from evaluators.rebuilding import deepened, rebuilding
from foundation.errors import InputError
from supernet.backbones import build_backbone
from supernet.backbones.mobilenet import MobileNet
from supernet.backbones.wide_resnet import WideResNet

SHAPE = (3, 16, 16)
SLOWER = 2.5
"""How much slower attention makes a network in these tests, where time is a fixed function."""


class Clockwork:
    """Time as a fixed function of a network: its multiply-accumulates, attention counted as `SLOWER`."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, model: nn.Module, other: nn.Module) -> float:
        self.asked += 1
        return self.time(model) / self.time(other)

    def time(self, model: nn.Module) -> float:
        if not autola.attached(model):
            return macs(model, SHAPE)
        return SLOWER * macs(autola.detach(copy.deepcopy(model)), SHAPE)


def check(found: dict[str, Control], expected: set[str]) -> None:
    """Whatever is built: figures are those of the models, and times are near."""
    assert set(found) == {"plain", "attended"} | expected
    assert found["attended"].latency_ratio == 1
    assert found["plain"].latency_ratio == pytest.approx(1 / SLOWER)
    assert autola.attached(found["attended"].model)
    for name, control in found.items():
        assert control.params == params(control.model)
        assert control.macs == macs(control.model, SHAPE)
        assert control.model.training
        if name != "attended":
            assert not autola.attached(control.model)
        if name in expected:
            assert control.params > found["plain"].params
            assert 0.8 < control.latency_ratio < 1.25
            assert control.macs / found["plain"].macs == pytest.approx(SLOWER * control.latency_ratio)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("cifar_resnet8", {"wider", "deeper"}),
        (WideResNet(2, 10, 3, 16), {"wider", "deeper"}),
        (MobileNet(10, 3, 8), {"wider"}),
        (models.resnet18(), {"deeper"}),
        (models.ResNet(Bottleneck, [1, 1, 1, 1]), {"wider", "deeper"}),
    ],
)
def test_known_networks_are_made_wider_and_deeper(model: str | nn.Module, expected: set[str]) -> None:
    clockwork = Clockwork()
    with torch.device("meta"):  # time is what is counted, so weights are not needed
        check(controls(model, "se", input_shape=SHAPE, ratio=clockwork), expected)
    assert clockwork.asked <= 1 + 14 * len(expected), "an answer needs few measurements"


def test_the_nearest_of_all_widths_is_taken() -> None:
    clockwork = Clockwork()
    found = controls("cifar_resnet8", "se", input_shape=SHAPE, ratio=clockwork)
    attended = found["attended"].model
    times = {
        width: clockwork(build_backbone("cifar_resnet8", width=width), attended) for width in range(16, 64)
    }
    best = min(times, key=lambda width: max(times[width], 1 / times[width]))
    assert found["wider"].setting == {"width": best}


class Net(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.stem(x))


def test_a_function_of_ones_own_says_what_can_grow() -> None:
    def build(width: int = 8, depth: int = 4) -> nn.Module:
        return Net(width, depth)

    found = controls(build, "se", input_shape=SHAPE, sites=["stem"], ratio=Clockwork())
    check(found, {"wider", "deeper"})
    assert isinstance(found["deeper"].setting["depth"], int)


def test_a_factor_grows_by_sixteenths() -> None:
    def build(width: float = 0.5) -> nn.Module:
        return Net(round(32 * width), 3)

    found = controls(build, "se", input_shape=SHAPE, sites=["stem"], ratio=Clockwork())
    check(found, {"wider"})
    assert (found["wider"].setting["width"] * 32).is_integer()
    assert found["plain"].setting == found["attended"].setting == {}


def test_nothing_beyond_sixteen_times_the_size_is_tried() -> None:
    tried = list[int]()

    def build(width: int = 2) -> nn.Module:
        tried.append(width)
        return Net(width, 1)

    found = controls(build, "se", input_shape=SHAPE, sites=["stem"], ratio=lambda *_: 0.5)
    assert max(tried) <= 32
    assert found["wider"].latency_ratio == 0.5, "the reader sees that it is not as slow"


def test_attention_that_costs_nothing_is_compared_with_the_plain_network() -> None:
    def ratio(model: nn.Module, other: nn.Module) -> float:
        return params(model) / (params(other) - params(other.get_submodule("stem_attention")))

    found = controls(lambda width=8: Net(width, 2), "se", input_shape=SHAPE, sites=["stem"], ratio=ratio)
    assert found["wider"].setting == {"width": 8}


@pytest.mark.parametrize(
    "name",
    ["cifar_resnet20", "cifar_resnet34", "wide_resnet16_4", "mobilenet_v1", "resnet34", "wide_resnet50_2"],
)
def test_a_network_is_built_as_it_was(name: str) -> None:
    with torch.device("meta"):
        model = build_backbone(name, num_classes=7, in_channels=1)
        again = rebuilding(model)()
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


def test_blocks_are_added_in_proportion() -> None:
    assert deepened([3, 4, 6, 3], 16) == [3, 4, 6, 3]
    assert deepened([3, 4, 6, 3], 32) == [6, 8, 12, 6]
    assert deepened([1, 1, 1], 4) == [1, 1, 2]


def test_random_numbers_are_those_of_the_networks_alone() -> None:
    def drawn(ratio: Callable[[nn.Module, nn.Module], float]) -> float:
        torch.manual_seed(0)
        controls("cifar_resnet8", "se", input_shape=SHAPE, ratio=ratio)
        return torch.rand(()).item()

    assert drawn(Clockwork()) == drawn(Clockwork())
    torch.manual_seed(0)
    first = controls("cifar_resnet8", "se", input_shape=SHAPE, ratio=Clockwork())["plain"].model
    torch.manual_seed(0)
    for ours, theirs in zip(first.parameters(), build_backbone("cifar_resnet8").parameters()):
        assert torch.equal(ours, theirs)


def test_every_pair_is_timed_and_the_median_told() -> None:
    passes = list[str]()

    class Timed(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert torch.is_inference_mode_enabled()
            assert not self.training
            assert x.shape == (4, *SHAPE)
            assert torch.get_num_threads() == 1
            passes.append(self.name)
            return x

    spans = {"a": count(3), "b": count(1)}

    started = list[float]()

    def tick() -> float:
        started.append(float(next(spans[passes[-1]])) if len(started) % 2 else 0.0)
        return started[-1]

    a, b = Timed("a"), Timed("b")
    told = latency_ratio(a, b, input_shape=SHAPE, batch=4, pairs=5, clock=tick)
    assert len(passes) == 2 * (5 + 3)
    assert {passes[i : i + 2].count("a") for i in range(0, len(passes), 2)} == {1}
    assert passes[::4] != passes[2::4], "now one is first and now the other"
    assert told == statistics.median((3 + i) / (1 + i) for i in range(3, 8))
    assert a.training
    assert b.training


@pytest.mark.parametrize(
    ("model", "attention", "options", "line"),
    [
        ("cifar_resnet8", "none", {}, "none adds nothing"),
        ("cifar_resnet8", "se", {"batch": 0}, "batch=0 is not positive"),
        ("cifar_resnet9", "se", {}, "unknown backbone 'cifar_resnet9'"),
        (Net(8, 1), "se", {"input_shape": SHAPE}, "how is Net made wider or deeper"),
        (Net(8, 1), "se", {}, "give input_shape"),
        (lambda size=3: Net(size, 1), "se", {"input_shape": SHAPE}, "function of `width`, `depth` or both"),
        (lambda width: Net(width, 1), "se", {"input_shape": SHAPE}, "width has no positive default"),
        ("timm:resnet18", "se", {}, "how is ResNet made wider or deeper"),
        ("resnet50_v1", "se", {}, "was changed after it was built"),
    ],
)
def test_bad_input(model: object, attention: str, options: dict[str, object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        controls(model, attention, **options)  # pyright: ignore[reportArgumentType]


def test_a_network_that_was_changed_is_refused() -> None:
    model = models.resnet18(replace_stride_with_dilation=None)
    model.fc = nn.Linear(512, 5, bias=False)
    with pytest.raises(InputError, match="was changed after it was built"):
        controls(model, "se", input_shape=SHAPE)
