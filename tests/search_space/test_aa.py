"""Attention-augmented convolution against its definition: all logits, one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from evaluators.cost import activation_bytes
from foundation.errors import InputError
from search_space.operator import OPERATORS
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

SMALL: dict[str, Any] = {"heads": 2, "kappa": 0.75, "upsilon": 0.5, "least": 3, "size": (5, 7)}


def aa(conv: int | nn.Conv2d = 8, scale: float = 0.3, **options: Any) -> Any:
    module = scrambled(OPERATORS["aa"].build(conv, **{**SMALL, **options}))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)  # a softmax of large logits has no gradient to compare
    return module


def explicit(m: Any, x: Tensor) -> Tensor:
    """Every logit: q_i . (k_j + r^W + r^H), a table entry for each pair of positions."""
    x_ = x[:, :, :: m.stride[0], :: m.stride[1]]
    b, _, h, w = x_.shape
    n, dk, dv = m.heads, m.heads * m.key, m.heads * m.value
    qkv = torch.einsum("oi,bihw->bohw", m.qkv.weight[..., 0, 0], x_)
    q = qkv[:, :dk].reshape(b, n, dk // n, h, w)
    k = qkv[:, dk : 2 * dk].reshape(b, n, dk // n, h, w)
    v = qkv[:, 2 * dk :].reshape(b, n, dv // n, h, w)
    logits = torch.einsum("bndyx,bndvu->bnyxvu", q, k)
    most_h, most_w = len(m.rows) // 2, len(m.columns) // 2
    r_h = torch.stack(
        [torch.stack([m.rows[min(max(v - y, -most_h), most_h) + most_h] for v in range(h)]) for y in range(h)]
    )
    r_w = torch.stack(
        [
            torch.stack([m.columns[min(max(u - x, -most_w), most_w) + most_w] for u in range(w)])
            for x in range(w)
        ]
    )
    logits = logits + torch.einsum("bndyx,yvd->bnyxv", q, r_h)[..., None]
    logits = logits + torch.einsum("bndyx,xud->bnyxu", q, r_w)[..., None, :]
    weights = (logits / (dk // n) ** 0.5).flatten(4).softmax(4).unflatten(4, (h, w))
    o = torch.einsum("bnyxvu,bndvu->bndyx", weights, v).reshape(b, dv, h, w)
    o = torch.einsum("oi,bihw->bohw", m.project.weight[..., 0, 0], o)
    return o if m.conv is None else torch.cat((m.conv(x), o), 1)


CASES: dict[str, dict[str, Any]] = {
    "small": {},
    "one head": {"heads": 1},
    "four heads": {"heads": 4},
    "values wider than keys": {"heads": 1, "kappa": 0.2, "upsilon": 1.0, "least": 1, "size": 1},
    "all attention": {"upsilon": 1.0},
    "square": {"size": 6},
    "smaller tables": {"size": (3, 2)},
    "larger tables": {"size": (9, 12)},
    "defaults": {"heads": None, "kappa": 0.2, "upsilon": 0.1, "least": 20, "size": 32},
}


@pytest.mark.parametrize(("batch", "size"), [(1, (5, 7)), (3, (7, 5)), (2, (1, 3)), (1, (1, 1))])
@pytest.mark.parametrize("name", CASES)
def test_equals_all_logits(name: str, batch: int, size: tuple[int, int]) -> None:
    m = aa(**CASES[name])
    x = image(batch, 8, *size).requires_grad_()
    expected = explicit(m, x)
    assert_equal(m(x), expected)
    cotangent = image(*expected.shape, seed=1)
    weights = [x, *m.parameters()]
    ours = torch.autograd.grad((m(x) * cotangent).sum(), weights)
    theirs = torch.autograd.grad((expected * cotangent).sum(), weights)
    assert_equal(ours, theirs, through=m)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 8, 3, stride=(1, 2), padding=2, dilation=2),
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(4, 8, 3, padding="same"),
    ],
    ids=str,
)
def test_stands_for_any_convolution_that_keeps_the_map(conv: nn.Conv2d) -> None:
    m = aa(conv, size=(4, 4))
    x = image(2, 4, 7, 9)
    assert m(x).shape == conv.double()(x).shape
    assert_equal(m(x), explicit(m, x))


@pytest.mark.parametrize("upsilon", [0.5, 1.0])
def test_gradients_are_right(upsilon: float) -> None:
    m = aa(4, upsilon=upsilon, size=(3, 2))
    names, values = zip(*m.named_parameters())

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(m, dict(zip(names, weights)), (x,))

    x = image(2, 4, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *values))
    with sdpa_kernel(SDPBackend.MATH):  # second derivatives: as the docstring says
        assert torch.autograd.gradgradcheck(run, (x[:1, :, :2, :2].detach().requires_grad_(), *values))


class Operators(TorchDispatchMode):
    """Keeps the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names = set[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_runs_in_the_fused_kernel(dtype: torch.dtype) -> None:
    m = OPERATORS["aa"].build(80).to(dtype)
    with Operators() as seen:
        m(torch.randn(2, 80, 5, 7, dtype=dtype)).sum().backward()
    fused = "aten._scaled_dot_product_flash_attention_for_cpu"
    assert {name.partition(".default")[0] for name in seen.names if "attention" in name} == {
        fused,
        f"{fused}_backward",
    }


def test_keeps_little_for_the_backward_pass() -> None:
    m = OPERATORS["aa"].build(64, kappa=0.25, upsilon=0.25, heads=8, size=56).float()
    ours = activation_bytes(m, (64, 56, 56))
    # Explicit: the softmax alone is one number a head and pair of positions.
    assert ours < 0.3 * 8 * 56**4 * 4
    small = activation_bytes(m, (64, 28, 28))
    assert ours < 8 * small, "the memory is linear in the positions, at a width that grows with the side"


PEAK = """
import resource, sys
import torch
from search_space.operator import OPERATORS
from tests.search_space.test_aa import explicit

module = OPERATORS["aa"].build(64, kappa=0.25, upsilon=0.25, heads=8, size=56)
x = torch.randn(8, 64, 56, 56, requires_grad=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(module(x) if sys.argv[1] == "fused" else explicit(module, x)).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_trains_in_little_memory() -> None:
    peaks = dict[str, int]()
    for form in ("fused", "explicit"):
        command = [sys.executable, "-c", PEAK, form]
        result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        peaks[form] = int(result.stdout)
    assert peaks["fused"] < 0.3 * peaks["explicit"], peaks


def test_does_not_depend_on_where_things_are() -> None:
    """Attention that its tables make local, moved with its content: away from borders all is the same."""
    m = aa(8, kappa=1.0, size=(12, 14))
    with torch.no_grad():
        m.qkv.weight[: m.heads * m.key : m.key] = 0.0
        m.qkv.weight[: m.heads * m.key : m.key, 0] = (
            1.0  # the first entry of every query is channel 0, always 1
        )
        for table in (m.rows, m.columns):
            table[:, 0] = -1e4
            table[len(table) // 2 - 2 : len(table) // 2 + 3] = image(5, m.key)
    x = image(1, 8, 12, 14)
    x[:, 0] = 1.0
    moved = torch.roll(x, (2, -3), (2, 3))
    expected = torch.roll(m(x), (2, -3), (2, 3))
    inside = (..., slice(4, -2), slice(2, -5))
    assert_equal(m(moved)[inside], expected[inside])
    assert not torch.allclose(m(moved)[..., :2, :], expected[..., :2, :])


def test_positions_matter() -> None:
    m = aa()
    x = image(1, 8, 5, 7)
    turned = m(x.flip(3)).flip(3)
    attended = slice(4, 8)
    assert not torch.allclose(turned[:, attended], m(x)[:, attended])
    nn.init.zeros_(m.columns)
    assert_equal(m(x.flip(3)).flip(3)[:, attended], m(x)[:, attended])


def test_large_maps_are_averaged() -> None:
    m = aa(size=(7, 9), largest=4)
    assert (len(m.rows), len(m.columns)) == (2 * 3 - 1, 2 * 3 - 1)
    x = image(2, 8, 7, 9)
    pooled = torch.stack(
        [
            torch.stack([x[:, :, i : i + 3, j : j + 3].mean((2, 3)) for j in range(0, 9, 3)], 2)
            for i in range(0, 7, 3)
        ],
        2,
    )
    attended = F.interpolate(explicit(m, pooled)[:, 4:], (7, 9), mode="bilinear")
    assert_equal(m(x), torch.cat((m.conv(x), attended), 1))
    assert torch.equal(aa(size=(4, 4), largest=4)(x[..., :4, :4]), aa(size=(4, 4))(x[..., :4, :4]))


@pytest.mark.parametrize(
    ("channels", "ratio", "heads", "key", "value"),
    [
        (128, (0.2, 0.1), 8, 20, 1),
        (512, (1.0, 1.0), 8, 64, 64),
        (160, (0.2, 0.1), 8, 20, 2),
        (100, (0.29, 0.29), 1, 29, 29),
    ],
)
def test_sizes_follow_the_rule(
    channels: int, ratio: tuple[float, float], heads: int, key: int, value: int
) -> None:
    with torch.device("meta"):
        m: Any = OPERATORS["aa"].build(channels, kappa=ratio[0], upsilon=ratio[1], heads=heads, size=(5, 7))
    assert (m.heads, m.key, m.value) == (heads, key, value)
    dk, dv = heads * key, heads * value
    expected = 9 * channels * (channels - dv) + channels * (2 * dk + dv) + dv * dv + (9 + 13) * key
    assert num_parameters(m) == expected


def test_costs_what_the_definition_multiplies() -> None:
    m = aa(nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), size=(4, 5))
    positions, dk, dv = 4 * 5, 6, 4
    convolutions = positions * (9 * 4 * 4 + 4 * (2 * dk + dv) + dv * dv)
    logits = positions * dk * (positions + 2 * 4 - 1 + 2 * 5 - 1)
    assert m.macs(torch.Size((3, 4, 7, 9))) == 3 * (convolutions + logits + positions**2 * dv)


@pytest.mark.parametrize(
    ("conv", "options", "expected"),
    [
        (8, {"kappa": 0.0}, "kappa=0.0 is not in (0, 1]"),
        (8, {"kappa": 2.0}, "kappa=2.0 is not in (0, 1]"),
        (8, {"upsilon": -0.1}, "upsilon=-0.1 is not in (0, 1]"),
        (8, {"upsilon": float("nan")}, "upsilon=nan is not in (0, 1]"),
        (
            8,
            {"upsilon": 0.5, "heads": 5},
            "upsilon=0.5 of 8 channels is 4, so not every one of 5 heads has a value",
        ),
        (8, {"heads": 0}, "heads=0 is not positive"),
        (8, {"least": 0}, "least=0 is not positive"),
        (8, {"size": (0, 3)}, "size=0 is not positive"),
        (8, {"largest": -1}, "largest=-1 is negative"),
        (0, {}, "0 channels: give a positive number"),
        (nn.Conv2d(4, 8, 3, padding=1, groups=2), {}, "without groups, and this one has 2"),
        (
            nn.Conv2d(4, 8, 3),
            {},
            "convolutions that keep the map's size: padding (0, 0) does not with kernel (3, 3)",
        ),
        (nn.Conv2d(4, 8, 2, padding=1), {}, "convolutions that keep the map's size"),
        (nn.Conv2d(4, 8, 3, padding="valid"), {}, "convolutions that keep the map's size"),
    ],
)
def test_bad_input_is_refused(conv: Any, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as raised:
        OPERATORS["aa"].build(conv, **{**SMALL, **options})
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
