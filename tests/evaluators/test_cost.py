from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evaluators.cost import activation_bytes, macs, measure, params
from evaluators.latency import latency_ms
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from search_space.cell import FoundEdges
from search_space.found_cell import found_cell
from search_space.genotype import PUBLISHED
from search_space.operator import OPERATORS, Operator
from search_space.space import HOGA
from search_space.state import State
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.supernet import Supernet

C, H, W = 16, 5, 7


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests that run side by side would wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def attended(backbone: str, attention: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return attach(build_backbone(backbone, **options), attention)


def kernel_macs(model: nn.Module, shape: tuple[int, ...]) -> int:
    """The independent count: what the kernels of a forward pass multiply."""
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros((1, *shape), device=next(model.parameters(), torch.empty(())).device))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("backbone", "attention", "options", "weights", "mega_macs"),
    [
        ("cifar_resnet20", "none", {}, 272_474, 40.8),
        ("cifar_resnet20", "se[bias=false]", {}, 274_490, 40.8),
        ("cifar_resnet20", "se", {}, 274_847, 40.8),
        ("cifar_resnet20", "cbam", {}, 275_747, 41.2),
        ("cifar_resnet20", "hoga", {}, 333_731, 49.8),
        ("cifar_resnet32", "none", {}, 466_906, 69.1),
        ("cifar_resnet32", "hoga", {}, 569_001, 84.0),
        ("cifar_resnet56", "none", {}, 855_770, 125.7),
        ("cifar_resnet56", "hoga", {}, 1_039_541, 152.6),
        ("cifar_resnet20", "none", {"width": 64, "num_classes": 100}, 4_350_884, 647.7),
        ("cifar_resnet20", "hoga", {"width": 64, "num_classes": 100}, 5_193_644, 761.5),
    ],
)
def test_counts_of_the_paper_on_cifar(
    backbone: str, attention: str, options: dict[str, Any], weights: int, mega_macs: float
) -> None:
    cost = measure(backbone, attention, latency=False, activation=False, **options)
    assert cost.params == weights
    assert cost.macs == pytest.approx(1e6 * mega_macs, rel=0.005)


@pytest.mark.parametrize(
    ("backbone", "weights", "giga_macs"),
    [("resnet50", 29_579_092, 4.70), ("resnet101", 52_164_408, 9.04), ("timm:resnet50", 29_579_092, 4.70)],
)
def test_counts_of_the_paper_on_imagenet(backbone: str, weights: int, giga_macs: float) -> None:
    cost = measure(
        backbone, "hoga", input_shape=(3, 224, 224), num_classes=1000, latency=False, activation=False
    )
    assert cost.params == weights
    assert cost.macs == pytest.approx(1e9 * giga_macs, rel=0.005)


def test_any_network_of_cifar_is_counted_on_its_images() -> None:
    found = measure("wide_resnet16_4", "none", latency=False, activation=False)
    given = measure(
        "wide_resnet16_4", "none", input_shape=(3, 32, 32), num_classes=10, latency=False, activation=False
    )
    assert (found.params, found.macs) == (given.params, given.macs)


def test_counts_of_the_supernet() -> None:
    assert macs(Supernet(build_backbone("cifar_resnet20"), HOGA, "plain"), (3, 32, 32)) == pytest.approx(
        62.8e6, rel=0.005
    )


@pytest.mark.parametrize("name", [name for name in OPERATORS if OPERATORS[name].place in ("block", "inner")])
def test_every_operator_costs_what_its_kernels_multiply(name: str) -> None:
    with torch.device("meta"):
        operator = OPERATORS[name].build(C)
    assert macs(operator, (C, H, W)) == kernel_macs(operator, (C, H, W))


@pytest.mark.parametrize("attention", ["none", "se+hoga", "cbam"])
def test_networks_cost_what_their_kernels_multiply(attention: str) -> None:
    model = attended("resnet18", attention)
    assert macs(model, (3, 37, 41)) == kernel_macs(model, (3, 37, 41))


def test_random_cells_cost_what_their_kernels_multiply() -> None:
    for seed in range(5):
        cell = found_cell(C, HOGA.sample(random.Random(seed)))
        assert macs(cell, (C, H, W)) == kernel_macs(cell, (C, H, W))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(C, 8, 3, padding=1, stride=2),
        nn.Conv2d(C, 8, 3, groups=4, dilation=2, bias=False),
        nn.Conv2d(C, C, 3, groups=C),
        nn.ConvTranspose2d(C, 8, 4, stride=2, groups=2),
        nn.Sequential(nn.Flatten(), nn.Linear(C * H * W, 3)),
    ],
)
def test_layers_cost_what_their_kernels_multiply(layer: nn.Module) -> None:
    assert macs(layer, (C, H, W)) == kernel_macs(layer, (C, H, W)) > 0


class Product(Operator):
    """x x^T x over the positions, which no layer sees, and a layer that it computes by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 1)

    def read(self, state: State) -> Tensor:
        x = nn.functional.conv2d(state.x, self.layer.weight).flatten(2)
        return (x @ x.mT @ x).view_as(state.x)


class ToldProduct(Product):
    def macs(self, shape: torch.Size) -> int:
        b, c, h, w = shape
        return b * 3 * c * c * h * w


class FusedEdges(nn.Module):
    """A found cell's edges computed by something that meta tensors cannot pass."""

    def __init__(self, edges: FoundEdges) -> None:
        super().__init__()
        self.operators = edges.operators

    def forward(self, source: int, states: list[State]) -> list[tuple[int, Tensor]]:
        raise AssertionError("the kernel needs real memory")


@pytest.mark.parametrize("wrap", [lambda product: product, nn.Sequential])
def test_an_operator_tells_what_its_layers_do_not(wrap: Any) -> None:
    told = ToldProduct(C)
    assert macs(wrap(told), (C, H, W)) == 3 * C * C * H * W == kernel_macs(told, (C, H, W))


def test_an_operator_whose_cost_is_not_seen_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Product does not call its Conv2d.*macs\(shape\)"):
        macs(Product(C), (C, H, W))


def test_a_cell_costs_its_definition_however_it_computes() -> None:
    cell = found_cell(C, PUBLISHED)
    expected = macs(cell, (C, H, W))
    assert isinstance(cell.edges, FoundEdges)
    cell.edges = FusedEdges(cell.edges)
    assert macs(cell, (C, H, W)) == expected
    cell.edges.operators["x1_h1"] = ToldProduct(C // 4)
    assert macs(cell, (C, H, W)) == expected + 3 * (C // 4) ** 2 * H * W
    cell.edges.operators = nn.ModuleDict()
    without = macs(cell, (C, H, W))
    cell.edges.macs = lambda shape: shape.numel()  # type: ignore[assignment]
    assert macs(cell, (C, H, W)) == without + C // 4 * H * W
    cell.edges = nn.Identity()
    with pytest.raises(TypeError, match="Identity needs `operators`"):
        macs(cell, (C, H, W))


def test_counting_leaves_the_model_as_it_is() -> None:
    model = attach(build_backbone("cifar_resnet8"), "hoga").train()
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    macs(model, (3, 8, 8))
    activation_bytes(model, (3, 8, 8))
    latency_ms(model, (3, 8, 8), repeats=1)
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any("forward" in vars(module) for module in model.modules())


def test_measuring_leaves_the_random_numbers_as_they_are() -> None:
    state = torch.random.get_rng_state()
    measure("cifar_resnet8", "se", repeats=1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_activation_bytes_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * H * W, 5)
    )
    # The image (for the convolution), its output (for the norm), the norm's output after the ReLU (for the
    # ReLU and, the same storage flattened, for the linear layer).
    assert activation_bytes(net, (3, H, W)) == 4 * H * W * (3 + 4 + 4)
    assert activation_bytes(net.double(), (3, H, W)) == 8 * H * W * (3 + 4 + 4)


def test_activation_bytes_without_gradients_around_it() -> None:
    net = nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        assert activation_bytes(net, (3, H, W)) == 4 * H * W * 3


def test_latency_is_the_median_of_what_the_clock_says() -> None:
    durations = [1.0, 100.0, 2.0, 5.0, 4.0]
    ticks = (tick for k, duration in enumerate(durations) for tick in (1000.0 * k, 1000.0 * k + duration))
    assert latency_ms(nn.Conv2d(3, 4, 1), (3, H, W), repeats=5, clock=lambda: next(ticks)) == 4000.0


def test_latency_runs_one_image_in_evaluation_mode() -> None:
    seen = list[tuple[torch.Size, bool, bool]]()

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((x.shape, self.training, torch.is_inference_mode_enabled()))
            return x

    ticks = count()
    assert latency_ms(Net(), (3, H, W), repeats=2, clock=lambda: float(next(ticks))) == 1000.0
    assert set(seen) == {(torch.Size((1, 3, H, W)), False, True)}


def test_measure_gives_everything_and_survives_json() -> None:
    cost = measure("cifar_resnet8", "hoga", input_shape=(1, 8, 8), repeats=2)
    assert cost.latency_ms is not None
    assert cost.activation_bytes is not None
    assert cost.latency_ms > 0
    assert cost.activation_bytes > 0
    assert (cost.device, cost.threads) == ("cpu", torch.get_num_threads())
    assert cost.params == params(attended("cifar_resnet8", "hoga", in_channels=1))
    assert parse_json(type(cost), to_json(cost), "cost") == cost


@pytest.mark.parametrize(
    ("backbone", "attention", "options", "message"),
    [
        ("cifar_resnet20", "hoga", {"input_shape": (3, 0, 32)}, "'3 0 32' is not channels"),
        ("cifar_resnet20", "hoga", {"input_shape": (-1, 8, 8)}, "all positive"),
        ("cifar_resnet20", "hoga", {"input_shape": (32, 32)}, "'32 32' is not channels"),
        (
            "timm:inception_v3",
            "none",
            {"input_shape": (3, 20, 20)},
            "InceptionV3 cannot take images of 3 x 20",
        ),
        ("cifar_resnet20", "hoga", {"width": 6}, "6 channels do not split into 4"),
        ("cifar_resnet20", "hoga", {"repeats": 0}, "repeats=0"),
        ("cifar_resnet20", "hoga", {"device": "cuba"}, "'cuba' cannot be used"),
        ("cifar_resnet21", "hoga", {}, "cifar_resnet20"),
    ],
)
def test_errors(backbone: str, attention: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        measure(backbone, attention, **options)
    assert str(caught.value).count("\n") <= 1
