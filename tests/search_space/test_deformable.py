"""Deformable convolution against its sum over taps, and against the convolution that it begins as."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.convolution import margins, output_size
from search_space.grammar import parse_attention
from search_space.operator import OPERATORS
from tests.equality import assert_equal
from tests.modules import image, scrambled
from tests.search_space.test_aw import CONVOLUTIONS

ZERO_PADDED = [name for name in CONVOLUTIONS if name != "reflected"]


def built(options: dict[str, Any], **own: Any) -> Any:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, **{"bias": False, **options})
    return OPERATORS["dcn"].build(conv, **own).double(), conv.double()


def at(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """x (channels, h, w) at a place between its positions, bilinear, zero beyond the border."""
    i, j = math.floor(row), math.floor(column)
    y = x.new_zeros(len(x))
    for a, b in product((i, i + 1), (j, j + 1)):
        if 0 <= a < x.shape[1] and 0 <= b < x.shape[2]:
            y = y + x[:, a, b] * (1 - abs(row - a)) * (1 - abs(column - b))
    return y


def literal(m: Any, x: Tensor, modulated: bool, groups: int) -> Tensor:
    maps = m.offset(x)
    (top, _), (left, _) = margins(m)
    height, width = output_size(m, x.shape[2:])
    kh, kw = m.kernel_size
    y = x.new_zeros(len(x), m.out_channels, height, width)
    for n, p, q in product(range(len(x)), range(height), range(width)):
        for s, t, group in product(range(kh), range(kw), range(groups)):
            tap = group * kh * kw + s * kw + t
            row = p * m.stride[0] - top + s * m.dilation[0] + maps[n, 2 * tap, p, q]
            column = q * m.stride[1] - left + t * m.dilation[1] + maps[n, 2 * tap + 1, p, q]
            own = slice(group * 4 // groups, (group + 1) * 4 // groups)
            seen = x.new_zeros(4)
            seen[own] = at(x[n, own], row, column)
            if modulated:
                seen = seen * 2 / (1 + torch.exp(-maps[n, 2 * groups * kh * kw + tap, p, q]))
            for out in range(m.out_channels):
                part = out * m.groups // m.out_channels
                inputs = slice(part * 4 // m.groups, (part + 1) * 4 // m.groups)
                y[n, out, p, q] += m.weight[out, :, s, t] @ seen[inputs]
    return y if m.bias is None else y + m.bias[:, None, None]


@pytest.mark.parametrize(("modulated", "groups"), [(False, 1), (True, 1), (False, 2), (True, 4)])
@pytest.mark.parametrize("name", ZERO_PADDED)
def test_equals_the_sum_over_taps(name: str, modulated: bool, groups: int) -> None:
    m, _ = built(CONVOLUTIONS[name], modulated=modulated, groups=groups)
    scrambled(m)
    x = image(1, 4, 5, 7)
    with torch.no_grad():
        assert_equal(m(x), literal(m, x, modulated, groups))


@pytest.mark.parametrize(("modulated", "groups"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_under_torch_func_it_is_the_same_function(name: str, modulated: bool, groups: int) -> None:
    m, _ = built(CONVOLUTIONS[name], modulated=modulated, groups=groups)
    scrambled(m)
    x, weights = image(2, 4, 7, 5), dict(m.named_parameters())
    factors = image(*m(x).shape)

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return (torch.func.functional_call(m, weights, (x,)) * factors).sum()

    found, of_x = torch.func.grad(loss, argnums=(0, 1))(weights, x)
    x.requires_grad_()
    expected = torch.autograd.grad(loss(weights, x), [*weights.values(), x])
    for one, other in zip((*found.values(), of_x), expected, strict=True):
        assert_equal(one, other)
    with torch.no_grad():
        alone = torch.vmap(lambda one: m(one[None])[0])(x)
        assert_equal(alone, m(x))


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_begins_as_the_convolution(name: str, modulated: bool) -> None:
    m, conv = built(CONVOLUTIONS[name], modulated=modulated)
    x = image(2, 4, 7, 9)
    assert_equal(m(x), conv(x))
    assert {key for key in m.state_dict() if not key.startswith("offset.")} == set(conv.state_dict())


def test_offsets_learn_at_once() -> None:
    m, _ = built({"kernel_size": 3, "padding": 1}, modulated=True)
    m(image(2, 4, 5, 7)).square().sum().backward()
    assert (m.offset.weight.grad.flatten(1).abs().sum(1) > 0).all()


def test_at_rest_its_gradients_are_those_of_the_operator() -> None:
    m, _ = built({"kernel_size": 3, "padding": 1, "bias": True})
    x = image(2, 4, 5, 7).requires_grad_()
    expected = torch.autograd.grad(m(x).square().sum(), [x, *m.parameters()])
    m.start_plain()
    for ours, theirs in zip(torch.autograd.grad(m(x).square().sum(), [x, *m.parameters()]), expected):
        assert_equal(ours, theirs)


def test_runs_in_onnx_runtime(tmp_path: Path) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    m, _ = built({"kernel_size": 3, "padding": 1})
    scrambled(m).float()
    with torch.no_grad():
        for weight in m.offset.parameters():
            weight.mul_(0.1)
    x = image(1, 4, 5, 7).float()
    made = torch.onnx.export(torch.export.export(m, (x,)), dynamo=True, verbose=False)
    assert made is not None
    made.save(tmp_path / "dcn.onnx", external_data=False)
    session = onnxruntime.InferenceSession(tmp_path / "dcn.onnx", providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x.numpy()}
    torch.testing.assert_close(
        torch.from_numpy(session.run(None, given)[0]), m(x).detach(), rtol=1e-4, atol=1e-4
    )
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    images = iter([given])

    class Images(CalibrationDataReader):
        def get_next(self) -> Any:
            return next(images, None)

    quantize_static(tmp_path / "dcn.onnx", tmp_path / "small.onnx", Images())
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    found, wanted = (
        torch.from_numpy(session.run(None, given)[0]),
        m(x).detach(),
    )  # positions that are rounded lie within the map
    assert float((found - wanted).norm()) < 0.5 * float(wanted.norm())


@pytest.mark.parametrize("modulated", [False, True])
def test_gradients_are_right(modulated: bool) -> None:
    m, _ = built({"kernel_size": (3, 2), "stride": 2, "padding": 1, "bias": True}, modulated=modulated)
    scrambled(m)
    names, values = zip(*m.named_parameters())

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(m, dict(zip(names, weights)), (x,))

    assert torch.autograd.gradcheck(run, (image(2, 4, 3, 5).requires_grad_(), *values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dcn[groups=3]", "dcn[groups=3] does not divide 8 input channels"),
        ("dcn[groups=0]", "dcn[groups=0] does not divide"),
        ("dcn[v2=true]", "`dcn` has no option 'v2'; it has: modulated, groups"),
        ("dcn:v2", "`dcn` takes no argument"),
    ],
)
def test_errors_say_what_is_wrong(text: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_attention(text)[0].build(8)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
