"""Generalized attention: all sixteen forms against the four terms, written out pair by pair."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.operators.dynamic_convolution import DynamicConvolution
from search_space.operators.generalized_attention import GeneralizedAttention
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

BITS = ["".join(bits) for bits in product("01", repeat=4)]
TERMS = ["1000", "0100", "0010", "0001"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"kv_stride": 1},
    {"kv_stride": 3, "q_stride": 2, "heads": 1},
    {"q_stride": 2, "position_magnitude": 0.5, "heads": 2},
    {"spatial_range": 1},
    {"spatial_range": 2, "kv_stride": 1, "q_stride": 3, "heads": 4},
]


def built(bits: str, channels: int = 8, seed: int = 0, **options: Any) -> GeneralizedAttention:
    """With weights that leave the softmax soft."""
    module = scrambled(GeneralizedAttention(channels, bits, **options), seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 0.5
    return module


def literal(m: GeneralizedAttention, bits: str, x: Tensor, **options: Any) -> Tensor:
    """y_q = x_q + gamma (b + sum_m P_m sum_k A_m(q, k) V'_m x_k), for every q, k and m by itself."""
    b, c, height, width = x.shape
    heads = options.get("heads") or math.gcd(8, c)
    kv, qs = options.get("kv_stride", 2), options.get("q_stride", 1)
    reach, magnitude = options.get("spatial_range", -1), options.get("position_magnitude", 1)
    if bits == "0000":
        return x
    d = c // heads

    def code(linear: Any, distance: int, head: int) -> Tensor:
        angles = [distance * magnitude / 1000 ** (4 * n / c) for n in range(c // 4)]
        waves = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=x.dtype)
        return (linear.weight @ waves)[head * d : (head + 1) * d] / math.sqrt(2)

    def part(convolution: Any, head: int, features: Tensor) -> Tensor:
        return features @ convolution.weight[head * d : (head + 1) * d, :, 0, 0].T

    rows, columns = range(0, height, qs), range(0, width, qs)
    y = x.new_zeros(b, c, len(rows), len(columns))
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        for head in range(heads):
            energies, values = [], []
            for key_row, key_column in product(range(0, height, kv), range(0, width, kv)):
                if reach >= 0 and max(abs(row - key_row), abs(column - key_column)) > reach:
                    continue
                z, x_k = x[:, :, row, column], x[:, :, key_row, key_column]
                energy, r = x.new_zeros(b), x.new_zeros(d)
                if bits[1] == "1" or bits[3] == "1":
                    r = code(m.rows, row - key_row, head) + code(m.columns, column - key_column, head)
                if bits[0] == "1":
                    energy = energy + (part(m.query, head, z) * part(m.key, head, x_k)).sum(1)
                if bits[1] == "1":
                    energy = energy + part(m.query, head, z) @ r
                if bits[2] == "1":
                    energy = energy + part(m.key, head, x_k) @ m.key_bias[head]
                if bits[3] == "1":
                    energy = energy + m.position_bias[head] @ r
                energies.append(energy)
                values.append(part(m.value, head, x_k))
            weights = torch.exp(torch.stack(energies))
            weights = weights / weights.sum(0)
            seen = (weights[..., None] * torch.stack(values)).sum(0)
            y[:, :, i, j] += seen @ m.project.weight[:, head * d : (head + 1) * d, 0, 0].T
        y[:, :, i, j] += torch.as_tensor(m.project.bias)
    if qs > 1:
        y = F.interpolate(y, size=(height, width), mode="bilinear", align_corners=False)
    return x + m.gamma * y


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("bits", BITS)
def test_equals_the_terms(bits: str, options: dict[str, Any]) -> None:
    module = built(bits, **options)
    shapes = ((2, 8, 3, 5), (1, 8, 5, 2)) if options else ((2, 8, 5, 7), (1, 8, 6, 3))  # pairs are slow
    for shape in shapes:
        x = image(*shape)
        assert_equal(module(x), literal(module, bits, x, **options))


@pytest.mark.parametrize("bits", BITS)
def test_is_the_identity_at_first(bits: str) -> None:
    x = image(2, 16, 5, 7)
    assert torch.equal(GeneralizedAttention(16, bits).double()(x), x)


@pytest.mark.parametrize("options", [{}, {"spatial_range": 1, "q_stride": 2}], ids=str)
@pytest.mark.parametrize("bits", BITS)
def test_gradients_are_right(bits: str, options: dict[str, Any]) -> None:
    module = built(bits, 4, **options)
    names, values = zip(*module.named_parameters()) if num_parameters(module) else ((), ())

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights)), (x,))

    assert torch.autograd.gradcheck(run, (image(2, 4, 3, 4).requires_grad_(), *values))


@pytest.mark.parametrize("bits", ["1111", "0011", "0001", "0010"])
def test_second_derivatives_are_right_without_the_fused_kernel(bits: str) -> None:
    module = built(bits, 4)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(module, (image(1, 4, 3, 2).requires_grad_(),))


def weights(module: GeneralizedAttention, x: Tensor) -> Tensor:
    """A_m(q, k) as the module has them: what it sees of values that are one-hot codes of the keys."""
    giving = x[..., :: module.kv_stride, :: module.kv_stride]
    b, _, i, j = giving.shape
    value = torch.eye(i * j, dtype=x.dtype).unflatten(0, (i, j)).expand(b, module.heads, i, j, -1)
    seen = module._attended(x, giving, value)
    if module.bits == (False, False, False, True):
        assert_equal(module._placed(x, value), seen)
    if module.bits == (False, False, True, False):
        assert_equal(module._salient(giving, value).expand_as(seen), seen)
    return seen


@pytest.mark.parametrize("bits", BITS[1:])
def test_energies_add_up(bits: str) -> None:
    whole = built("1111")
    x = image(2, 8, 5, 7)

    def energies(bits: str) -> Tensor:
        module = GeneralizedAttention(8, bits).double()
        module.load_state_dict(whole.state_dict(), strict=False)
        energy = weights(module, x).log()
        return energy - energy.mean(-1, keepdim=True)

    apart = [energies(term) for term in TERMS if int(term, 2) & int(bits, 2)]
    assert_equal(energies(bits), torch.stack(apart).sum(0))


@pytest.mark.parametrize(("channels", "heads"), [(256, 8), (64, 8), (12, 4), (6, 2), (7, 1), (1, 1)])
def test_any_channels(channels: int, heads: int) -> None:
    module = built("1111", channels)
    assert module.heads == heads
    x = image(1, channels, 3, 4)
    assert module(x).shape == x.shape


def test_keeps_no_energies_of_all_pairs() -> None:
    module = GeneralizedAttention(16, "1111", kv_stride=1)
    x = torch.randn(1, 16, 24, 24, requires_grad=True)
    kept = dict[int, int]()

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with (
        profile(activities=[ProfilerActivity.CPU]) as profiled,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        module(x)
    assert any("flash_attention_for_cpu" in event.key for event in profiled.key_averages())
    assert max(kept.values()) < 8 * 24**4 / 8


@pytest.mark.parametrize("bits", ["1000", "0010"])
def test_macs_are_those_of_the_kernels_where_nothing_is_saved(bits: str) -> None:
    module = GeneralizedAttention(64, bits)
    x = torch.zeros(2, 64, 5, 7)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    assert module.macs(x.shape) == counter.get_total_flops() // 2


def test_macs_of_the_definition() -> None:
    c, queries, keys, distances = 8, 5 * 7, 3 * 4, 5 * 3 + 7 * 4
    expected = c * c * (2 * queries + 2 * keys)  # query, key, value, project
    expected += c * queries * (keys + 3 + 4) + c * keys + c * distances  # the four terms
    expected += c // 2 * c * distances  # codes of the distances
    expected += c * queries * keys  # the weighted sums
    assert GeneralizedAttention(c, "1111").macs(torch.Size((1, c, 5, 7))) == expected
    assert GeneralizedAttention(c, "0000").macs(torch.Size((1, c, 5, 7))) == 0
    assert DynamicConvolution(c, heads=4).macs(torch.Size((3, c, 5, 7))) == 3 * queries * 9 * (c * 4 + c)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ga:101", "ga:101 has no such terms; give four bits as in ga:0010"),
        ("ga:1112", "ga:1112 has no such terms"),
        ("ga:", "ga: has no such terms"),
        ("ga:content", "ga:content has no such terms"),
        ("ga[heads=3]", "ga[heads=3] does not divide 8 channels; choose heads among 1, 2, 4, 8"),
        ("ga:0010[heads=0]", "ga[heads=0] does not divide"),
        ("ga[kv_stride=0]", "ga[kv_stride=0] is not positive"),
        ("ga[q_stride=-1]", "ga[q_stride=-1] is not positive"),
        ("ga[spatial_range=0]", "ga[spatial_range=0] leaves queries without keys; give at least 1, or -1"),
        ("ga[spatial_range=-2]", "ga[spatial_range=-2] leaves queries without keys"),
        ("ga[num_heads=8]", "`ga` has no option 'num_heads'; it has: heads, kv_stride, q_stride"),
        ("ga[heads=many]", "ga[heads=many]: Input should be a valid integer"),
        ("dynamic[heads=5]", "dynamic[heads=5] does not divide 8 channels"),
        ("dynamic[kernel_size=2]", "dynamic[kernel_size=2] has no middle; choose an odd size: 3"),
        ("simam[regularization=0]", "regularization=0.0 is not positive"),
        ("coordinate[reduction=0]", "reduction=0 is not positive"),
        ("bat[block_size=0]", "bat[block_size=0] is not positive"),
        ("bat[groups=3]", "bat[groups=3] does not divide its 8 inner channels"),
        ("eca[reduction=8]", "`eca` has no option 'reduction'; it has: gamma, beta"),
        ("ge[extent=3]", "timm builds no ge for 8 channels with extent=3"),
    ],
)
def test_errors_say_what_is_wrong(text: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_attention(text)[0].build(8)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
