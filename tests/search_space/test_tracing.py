"""Operators in the hands of torch's transforms and tracers, and in half precision."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn

from search_space.operator import OPERATORS
from supernet.attach import attach
from supernet.backbones import build_backbone
from tests.alone import alone
from tests.equality import assert_equal

COMPILED = """
import sys
import torch
from torch import nn
from search_space.grammar import parse_attention

torch.manual_seed(0)
operator = parse_attention(sys.argv[1])[0].build(16)
model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), operator, nn.Conv2d(16, 4, 1))
model = model.double().to(memory_format=getattr(torch, sys.argv[2]))
compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
for size in ((14, 14), (7, 21), (9, 5)):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(one(x).square().sum(), list(model.parameters())) for one in (compiled, model)
    )
    for ours, eager in zip(found, expected):
        torch.testing.assert_close(ours, eager)
"""
ANY_BATCH = """
import sys
import torch
from torch import nn
import autola

for name in sys.argv[1:]:
    conv = nn.Conv2d(3, 32, 3, padding=1)
    place = "0" if name in autola.OPERATORS and autola.OPERATORS[name].place == "conv" else "1"
    model = nn.Sequential(conv, nn.BatchNorm2d(32))
    model = autola.attach(model, name, sites=[place], input_shape=(3, 32, 32))
    x = torch.randn(2, 3, 32, 32)
    sizes = ({0: torch.export.Dim("batch", min=1)},)  # 16 are not the last
    with torch.no_grad():
        program = torch.export.export(model.eval(), (x,), dynamic_shapes=sizes).module()
        for images in (x[:1], torch.randn(17, 3, 32, 32)):
            torch.testing.assert_close(program(images), model(images), rtol=1e-3, atol=1e-4)
"""
ONNX = """
import sys, tempfile
import onnxruntime, torch
from torch import nn
import autola

torch.manual_seed(0)
auto, images = torch.export.Dim.AUTO, torch.randn(2, 3, 18, 18)
conv, norm = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
place = "0" if autola.OPERATORS[sys.argv[1].partition("[")[0]].place == "conv" else "1"
model = autola.attach(nn.Sequential(conv, norm).eval(), sys.argv[1], sites=[place]).eval()
for parameter in model.parameters():
    parameter.data += 0.1 * torch.randn_like(parameter)
sizes = ({0: auto, 2: auto, 3: auto},)
program = torch.onnx.export(model, (images,), dynamo=True, dynamic_shapes=sizes, verbose=False)
with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    program.save(file.name)
    session = onnxruntime.InferenceSession(file.name, providers=["CPUExecutionProvider"])
for x in (images, torch.randn(1, 3, 26, 34)):
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), model(x).detach(), rtol=1e-3, atol=1e-4)
"""


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ["se", "cbam", "triplet", "sep_conv_3x3_spatial"])
def test_transforms_and_traces_see_torchs_own_operators(name: str) -> None:
    torch.manual_seed(0)
    gate = OPERATORS[name].build(8).double().eval()
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    weights = dict(gate.named_parameters())
    found = torch.func.grad(lambda w: torch.func.functional_call(gate, w, (x,)).square().sum())(weights)
    gate(x).square().sum().backward()
    for key, weight in gate.named_parameters():
        torch.testing.assert_close(found[key], weight.grad)
    traced: Any = torch.jit.trace(gate, x, check_trace=False)
    torch.jit.save(traced, io.BytesIO())
    torch.testing.assert_close(traced(x), gate(x))


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in ("none", "bat", "skip_connect")])
def test_torch_func_differentiates_every_operator(name: str) -> None:
    torch.manual_seed(0)
    gate = OPERATORS[name].build(8).double().eval()
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    weights = dict(gate.named_parameters())
    found = torch.func.grad(lambda w, x: torch.func.functional_call(gate, w, (x,)).square().sum(), (0, 1))(
        weights, x
    )
    x.requires_grad_()
    gate(x).square().sum().backward()
    assert x.grad is not None
    assert_equal(found[1], x.grad)
    for key, weight in gate.named_parameters():
        expected = torch.zeros_like(weight) if weight.grad is None else weight.grad
        assert_equal(found[0][key], expected)


def test_simam_in_half_precision_is_that_of_float32() -> None:
    gate = OPERATORS["simam"].build(4)
    x = (5 * torch.randn(1, 4, 112, 112, generator=torch.Generator().manual_seed(0))).half()
    exact = gate(x.float())
    assert (gate(x).float() - exact).abs().max() / exact.abs().max() < 2e-3


def test_the_spatial_form_of_cbam_has_no_maximum() -> None:
    cbam = OPERATORS["cbam"].build(32, form="spatial")
    assert sum(weight.numel() for weight in cbam.get_submodule("spatial").parameters()) == 51
    with torch.device("meta"):
        model: nn.Module = attach(build_backbone("mobilenet_v1", num_classes=1000), "aw+cbam[spatial]")
    assert sum(weight.numel() for weight in model.parameters()) == 5_522_184


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("spec", ["aa", "aa[heads=2,upsilon=0.5,size=7]"])
def test_compiled_attention_trains_at_another_size(spec: str, layout: str) -> None:
    done = alone(COMPILED, spec, layout)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["se", "cbam", "ga", "aw", "aa[size=18]", "dcn", "triplet"])
def test_onnx_takes_any_size(spec: str) -> None:
    done = alone(ONNX, spec)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "names",
    [
        ("eca", "hoga"),
        pytest.param(("ga:0010", *(name for name in OPERATORS if name != "ga")), marks=pytest.mark.slow),
    ],
)
def test_exported_attention_takes_any_number_of_images(names: tuple[str, ...]) -> None:
    told = alone(ANY_BATCH, *names)
    assert told.returncode == 0, told.stderr
