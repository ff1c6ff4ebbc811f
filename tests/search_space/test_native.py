"""A cell as one operator in C++: the same function, and a line where it cannot be built."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import random
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from evaluators.runtimes import onnx_bytes, runner
from foundation.errors import InputError
from search_space.cell import Cell
from search_space.deployed import DeployedCell
from search_space.genotype import Genotype
from search_space.native import module as native_module
from search_space.native import operator
from search_space.native.operator import HERE, INCLUDES, sources_of, why_missing
from search_space.native.program import native_program
from search_space.norm import OperatorNorm
from search_space.space import HOGA
from tests.equality import assert_equal
from tests.modules import image
from tests.search_space.test_deployed import cell_of, drawn

SHAPES = [(1, 5, 7), (2, 1, 1), (1, 8, 8), (3, 9, 4), (1, 13, 33), (2, 7, 7)]
"""(batch, height, width)."""

built = pytest.mark.skipif(why_missing() is not None, reason=str(why_missing()))


def test_a_compiler_that_is_there_builds_it() -> None:
    assert (why_missing() or "no C++ compiler").startswith("no C++ compiler"), (
        "else all tests here are skipped"
    )


def assert_equals(cell: Cell, x: torch.Tensor) -> None:
    """Values agree within rounding, in both layouts of the map."""
    native = DeployedCell(cell, "native")
    with torch.no_grad():
        for given in (x, x.contiguous(memory_format=torch.channels_last)):
            ours = native(given)
            assert_equal(ours, cell(given))
            assert ours.stride() == given.stride()


def assert_equals_everywhere(seed: int) -> None:
    """A genotype of operators that all have a form, of any fuse, often with edges left out."""
    seed += seed // 2  # every third of the others' seeds is of the wide space
    cell = cell_of(drawn(seed), 16 + 4 * (seed % 5), seed=seed)
    b, h, w = SHAPES[seed % len(SHAPES)]
    assert_equals(cell, image(b, 16 + 4 * (seed % 5), h, w, seed=seed))


@built
@pytest.mark.parametrize("seed", range(30))
def test_equals_the_cell(seed: int) -> None:
    assert_equals_everywhere(seed)


@built
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 230))
def test_equals_the_cell_of_more_genotypes(seed: int) -> None:
    assert_equals_everywhere(seed)


@built
@pytest.mark.parametrize("name", HOGA.candidates)
def test_knows_every_operator_of_the_space(name: str) -> None:
    assert_equals(cell_of(HOGA.genotype([name] * len(HOGA.edges))), image(2, 16, 6, 5))


@built
@pytest.mark.parametrize("num_nodes", [1, 2, 3])
def test_cells_of_other_sizes(num_nodes: int) -> None:
    space = dataclasses.replace(HOGA, name="own", num_nodes=num_nodes)
    genotype = space.sample(random.Random(num_nodes))
    assert_equals(cell_of(genotype, 9 * num_nodes), image(1, 9 * num_nodes, 5, 7))


@built
def test_images_of_a_batch_do_not_meet() -> None:
    native = DeployedCell(cell_of(drawn(0)), "native")
    x = image(64, 16, 5, 7)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            assert torch.equal(native(x), torch.cat([native(part) for part in x.split(1)]))
            assert native(x[:0]).shape == (0, 16, 5, 7)
            for other in (image(1, 16, 30, 3), image(1, 16, 2, 2)):  # memory that other maps have used
                native(other)
                assert torch.equal(native(x[:1]), native(x)[:1])
    finally:
        torch.set_num_threads(threads)


@built
def test_single_precision_and_what_the_operator_does_not_take() -> None:
    cell = cell_of(drawn(0))
    x = image(2, 16, 5, 7)
    with torch.no_grad():
        expected = cell(x)
        native = DeployedCell(cell, "native")
        assert (native(x[:, :, :, ::2]) - cell(x[:, :, :, ::2])).abs().max() <= 1e-10 * expected.abs().max()
        assert (native.float()(x.float()) - expected).abs().max() <= 1e-4 * expected.abs().max()
        lower = native.bfloat16()(x.bfloat16())  # by the other form
        assert lower.dtype == torch.bfloat16
    given = x.clone().requires_grad_()
    native = DeployedCell(cell, "native")
    gradients = [torch.autograd.grad((module(given) * x).sum(), given)[0] for module in (cell, native)]
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-10 * gradients[0].abs().max()


@built
@pytest.mark.filterwarnings("ignore")  # of torch, about its own tracing
def test_pytorch_sees_one_operator() -> None:
    program = native_program(cell_of(drawn(0)))
    assert program is not None
    numbers, weights = program
    x = image(2, 16, 5, 7).contiguous(memory_format=torch.channels_last)
    torch.library.opcheck(
        torch.ops.autola.cell.default,
        (x, weights, numbers),
        test_utils=("test_schema", "test_faketensor"),
    )
    y = torch.ops.autola.cell(x.requires_grad_(), weights, numbers)
    with pytest.raises(InputError, match="no backward pass"):
        y.sum().backward()


@built
def test_a_program_that_is_none_is_refused() -> None:
    program = native_program(cell_of(drawn(0)))
    assert program is not None
    numbers, weights = program
    x = image(1, 16, 5, 7)
    for wrong in (numbers[:-1], [*numbers, 1], [*numbers[:3], 0, *numbers[4:]], [1 << 40, *numbers[1:]], []):
        with pytest.raises(RuntimeError, match="the program of a cell"):
            torch.ops.autola.cell(x, weights, wrong)
    for shown, of in ((x[:, :8], weights), (x, weights[1:]), (x, weights.float()), (x[0], weights)):
        with pytest.raises(RuntimeError, match="the cell "):
            torch.ops.autola.cell(shown, of, numbers)


@built
def test_an_operator_that_has_no_form() -> None:
    cell = cell_of(Genotype.of([[("simam", 0)], [("SE", 0)]], space="own"))
    with pytest.raises(InputError, match="does not know every operator"):
        DeployedCell(cell, "native")


@built
def test_a_pickled_cell_where_it_cannot_be_built(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    native: nn.Module = DeployedCell(cell_of(drawn(0)), "native")
    stored, x = pickle.dumps(native), image(1, 16, 5, 7)
    monkeypatch.setattr(native_module, "why_missing", lambda: "no C++ compiler")
    with caplog.at_level(logging.WARNING):
        other = pickle.loads(stored)
    assert caplog.messages == [
        "a deployed cell runs without the operator that it was made for: no C++ compiler"
    ]
    with torch.no_grad():
        assert (native(x) - other(x)).abs().max() <= 1e-10 * native(x).abs().max()


@built
@pytest.mark.filterwarnings("ignore")  # of the exporters, about themselves
def test_onnx_runtime_runs_it_as_one_node() -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    cell = cell_of(HOGA.genotype([*HOGA.candidates, *HOGA.candidates][: len(HOGA.edges)])).float()
    for layer in cell.modules():  # statistics of such size that single precision is precise
        if isinstance(layer, OperatorNorm):
            layer.reset_parameters()
    native = DeployedCell(cell, "native")
    x = image(2, 16, 5, 7).float()
    nodes = onnx.load_from_string(onnx_bytes(native, x)).graph.node
    assert [node.op_type for node in nodes if node.domain == "autola"] == ["Cell"]
    assert not {node.op_type for node in nodes} & {"Conv", "Gemm"}
    with torch.no_grad():
        expected = cell(x)
    assert (runner(native, x, "onnxruntime")() - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert native.native is not None
    native.native.program[1] = 8  # a cell of twice the channels
    with pytest.raises(Exception, match="other sizes than its program says"):  # of ONNX Runtime's own kinds
        runner(native, x, "onnxruntime")()


def test_what_stops_the_build_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reason() -> str:
        with pytest.raises(InputError) as caught:
            operator.library()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    assert reason().startswith("false does not build the native operator")
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    assert "cannot be built" in reason()
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert reason() == "no C++ compiler for the native operator (c++, g++, clang++, or CXX)"
    (tmp_path / "file").touch()
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "file"))
    assert "cannot be built in" in reason()
    assert not list((tmp_path / "autola").iterdir())


def test_a_library_is_named_after_all_files_that_it_is_made_of(tmp_path):
    for source in HERE.glob("*.cpp"):
        of_source = sources_of(source)
        wanted = {name for path in of_source for name in INCLUDES.findall(path.read_text())}
        assert {path.name for path in of_source} == {source.name} | wanted
    headers = {path.name for source in HERE.glob("*.cpp") for path in sources_of(source)}
    assert {path.name for path in HERE.glob("*.h")} <= headers, "a file that nothing includes"
