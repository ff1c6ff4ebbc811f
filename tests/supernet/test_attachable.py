"""What takes no attention says so in one line and stays as it is; what is shared is told."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.operator import OPERATORS
from supernet.attach import attach, attached, detach
from supernet.attachable import check_attachable
from tests.supernet.test_folding import Block


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Block(16), Block(16)).eval()


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(InputError) as raised:
        attach(*args, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def scripted(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


def test_torchscript_is_refused() -> None:
    script = scripted(blocks())
    assert "the model is TorchScript, which takes no attention" in refusal(script, "se")
    assert "'1.0.bn2' is TorchScript" in refusal(nn.Sequential(Block(16), script), "se", {"1.0.bn2": 16})
    assert len(attached(attach(nn.Sequential(Block(16), script), "se"))) == 1


@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_compiled_is_refused(in_place: bool) -> None:
    model: Any = blocks()
    if in_place:
        model[1].compile(backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    expected = "'1' is compiled already" if in_place else "the model is compiled already"
    assert expected in refusal(model, "se")
    assert not attached(model)


def test_detaching_from_compiled_code_is_refused() -> None:
    model = attach(blocks(), "se")
    model.compile(backend="eager")
    with pytest.raises(InputError, match="detach from the model before"):
        detach(model)
    assert len(attached(model)) == 2


def test_what_is_no_module_is_refused() -> None:
    program: Any = torch.export.export(blocks(), (torch.ones(1, 16, 5, 7),))
    with pytest.raises(InputError, match="not into ExportedProgram"):
        check_attachable(program)
    assert "GraphModule has no residual block" in refusal(program.module(), "se")


def test_where_nothing_is_found_the_nearest_are_named() -> None:
    widths = (3, 4, 4, 8, 8, 16, 16, 3)
    model = nn.Sequential(*(nn.Conv2d(last, width, 1) for last, width in pairwise(widths)))
    said = refusal(model, "se")
    assert "no residual block" in said
    assert "such as '3', '5', '6'" in said  # the last of each width
    attach(model, "se", sites=["3", "5", "6"])
    assert len(attached(model)) == 3


class Shared(nn.Module):
    """A block under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Block(16)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


@pytest.mark.parametrize("attention", ["se", "dcn"])
def test_a_place_with_two_names_is_told(attention: str, caplog: pytest.LogCaptureFixture) -> None:
    model, x = Shared().eval(), torch.randn(1, 16, 5, 7)
    before = model(x)
    attach(model, attention, identity=True)
    end = "conv1" if attention == "dcn" else "bn2"
    assert f"'first.{end}' and 'second.{end}' are one module: one attention serves both" in caplog.text
    assert torch.equal(model(x), before)
    assert torch.equal(detach(model)(x), before)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "none"])
def test_maps_of_any_size_are_taken(name: str, size: tuple[int, int]) -> None:
    model = attach(blocks(), f"{name}:1111" if name == "ga" else name, input_shape=(16, *size)).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    y = model(torch.randn(2, 16, *size))
    assert bool(y.isfinite().all())


@pytest.mark.parametrize("attention", ["se", "hoga", "aa", "dcn", "aw"])
def test_the_meta_device_and_half_precision_will_do(attention: str) -> None:
    x, options = torch.randn(1, 16, 5, 7), {"input_shape": (16, 5, 7), "identity": True}
    with torch.device("meta"):
        model = attach(nn.Sequential(Block(16), Block(16)).eval(), attention, **options)
    assert all(weight.is_meta for weight in model.parameters())
    filled = attach(blocks(), attention, **options)
    model.load_state_dict(filled.state_dict(), assign=True)
    assert torch.equal(model(x), filled(x))
    half = blocks().half()
    before = half(x.half())
    assert torch.equal(attach(half, attention, **options)(x.half()), before)
    assert all(weight.dtype == torch.float16 for weight in half.parameters())
