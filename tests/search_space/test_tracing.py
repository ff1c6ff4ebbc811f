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
