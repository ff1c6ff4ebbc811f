"""`autola cost --device-table`: latencies of one device, and searches on another that keep to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch

import autola
from autola.device_tables import make_table
from evaluators import cell_latency, device_table, used_latency
from evaluators.cell_latency import CELLS, drawn_cells
from evaluators.deploying import as_used
from evaluators.device_table import read_device_table
from foundation.errors import InputError
from search_space.deployed import DeployedCell
from search_space.grammar import genotype_at, placement_at
from search_space.native.onnx_form import holds_native
from search_space.native.operator import why_missing
from search_space.operator import OPERATORS
from search_space.space import HOGA
from tests.autola.runs import SMALL
from tests.modules import image, scrambled

SHORT = "--searcher.epochs 1 --searcher.batch-size 10 --threads 1"

SEARCH = f"search digits {SMALL} --searcher random --searcher.trials 2 {SHORT}"

TABLE = "cost --device-table here.json --backbone cifar_resnet8 --width 8 --input 1 8 8"

PHONE = {
    "version": 1,
    "device": "a phone",
    "threads": 1,
    "runtime": "ncnn",
    "versions": {},
    "backbone": "cifar_resnet8",
    "width": 8,
    "input": [1, 8, 8],
    "num_nodes": 2,
    "fuse": "double",
    "table": {
        "plain": 1.0,
        "fixed": 2.0,
        "operators": dict.fromkeys(HOGA.candidates, 1.0) | {"SE": 0.25, "skip_connect": 0.5},
    },
}


@pytest.fixture
def table(own_folder):
    """Writes a table with some keys changed."""

    def write(**changes):
        (own_folder / "phone.json").write_text(json.dumps(PHONE | changes))
        return "--latency-table phone.json"

    return write


@pytest.mark.parametrize("searcher", ["random", "darts"])
def test_a_search_keeps_to_what_was_measured_elsewhere(searcher, table, call, own_folder):
    given = f"{SEARCH.replace('random', searcher)} --num-nodes 2 --target latency<=2.9ms --out run"
    if searcher == "darts":
        given = given.replace("--searcher.trials 2", "")
    told = call(given, table())
    assert told.code == 0, told
    assert "latencies of phone.json: a phone, 1 thread, ncnn" in told.err
    # 2 ms and three edges: SE at 0.25, at most one skip_connect at 0.5, nothing else.
    found = [edge.operator for _, edge in genotype_at(own_folder / "run").edges()]
    assert set(found) <= {"SE", "skip_connect"}
    assert found.count("skip_connect") <= 1
    (own_folder / "phone.json").unlink()
    assert call("search --resume run").code == 0, "a run that goes on has its table"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "cifar_resnet20"}, "measured for backbone cifar_resnet20 (here cifar_resnet8)"),
        ({"width": None}, "measured for width its own (here 8)"),
        ({"input": [3, 32, 32], "fuse": "none"}, "input 3 x 32 x 32 (here 1 x 8 x 8), fuse none"),
        ({"version": 2}, "the table of latencies is of version 2; this autola reads version 1"),
        ({"table": {"plain": 1.0, "fixed": 2.0, "operators": {"SE": 1.0}}}, "no latency of skip_connect, "),
        ({"table": PHONE["table"] | {"fixed": -2.0}}, "fixed is -2.0, which is no time"),
        ({"table": PHONE["table"] | {"plain": 0}}, "plain is 0.0, which is no time"),
        (
            {"table": PHONE["table"] | {"native": {"fixed": 1.0, "operators": {"SE": -1.0}}}},
            "native SE is -1.0, which is no time",
        ),
        (
            {"table": PHONE["table"] | {"native": {"fixed": 1.0, "operators": {"Se": 1.0}}}},
            "native has Se, which operators has not",
        ),
        ({"table": {"plain": 1.0, "sites": {"layer1.0.bn2": {"se": 0.1}}}}, "is of placements"),
        ({"devise": "a phone"}, "devise"),
    ],
)
def test_a_table_of_something_else_is_refused(changes, message, table, refused):
    told = refused(f"{SEARCH} --num-nodes 2 --target latency<=2.9ms --out run {table(**changes)}")
    assert message in told


def test_a_table_without_a_limit_on_latency_is_refused(table, refused):
    assert "add --target 'latency<=1.5x'" in refused(f"{SEARCH} {table()}")
    assert "add --target 'latency<=1.5x'" in refused(f"{SEARCH} --target macs<=2x {table()}")


@pytest.fixture
def clocked(monkeypatch):
    """Has each of the things that take turns take one millisecond more than the one before."""

    def in_turn(runs, rounds, device, *, follow):
        for run in runs.values():
            run()
        return {name: [number / 1000] for number, name in enumerate(runs, 1)}

    monkeypatch.setattr(used_latency, "in_turn", in_turn)


def test_a_table_of_cells_is_what_a_search_takes(monkeypatch, call, own_folder):
    cells = iter(drawn_cells(len(HOGA.candidates), ((1, 0), (2, 0), (2, 1))))

    def added(plain, others, *_):
        return 1.0, {name: 1 + sum(number for _, number in next(cells)) / 3 for name, *_ in others}

    monkeypatch.setattr(cell_latency, "added_latencies", added)
    told = call(f"{TABLE} --num-nodes 2")
    assert told.code == 0, told
    assert re.search(r"skip_connect +2\.000 ms \(x2\.00\)", told.out)
    assert "1 thread, eager, torch" in told.out
    made = read_device_table(own_folder / "here.json")
    assert (made.backbone, made.width, made.input, made.num_nodes) == ("cifar_resnet8", 8, (1, 8, 8), 2)
    each = {name: number / 3 for number, name in enumerate(HOGA.candidates)}
    assert made.table["operators"] == pytest.approx(each, abs=1e-9)
    given = f"{SEARCH} --num-nodes 2 --target latency<=2.01ms --latency-table here.json --out run"
    assert call(given).code == 0
    assert {edge.operator for _, edge in genotype_at(own_folder / "run").edges()} == {"skip_connect"}


def test_a_table_of_placements_is_what_a_search_takes(clocked, call, own_folder):
    told = call(f"{TABLE} --space places --primitives none se hoga")
    assert told.code == 0, told
    assert "the network alone: 1.000 ms" in told.out
    rows = read_device_table(own_folder / "here.json").table["sites"]
    assert {name for row in rows.values() for name in row} == {"none", "se", "hoga"}
    assert {row["none"] for row in rows.values()} == {0.0}
    given = f"{SEARCH} --space places --target latency<=1ms --latency-table here.json"
    assert call(f"{given} --primitives none se --out run").code == 0
    assert set(placement_at(own_folder / "run").attentions.values()) == {"none"}
    assert "no latency of cbam at layer1.0.bn2" in call(f"{given} --primitives none cbam --out other").err


@pytest.mark.parametrize(("runtime", "each"), [("eager", 4 / 3), ("onnxruntime", 1.5)])
def test_what_a_candidate_adds_is_that_of_a_network_with_it(monkeypatch, own_folder, runtime, each):
    """Neighbours share a conversion of layouts here: it costs a millisecond, and so does each of them."""
    given = list[int]()

    def in_turn(runs, rounds, device, *, follow):
        return {key: [0.001 * (1 + len(key[1]) + bool(key[1]))] for key in runs}

    def as_used(module, *, native):
        given.append(native)
        return module

    monkeypatch.setattr(used_latency, "in_turn", in_turn)
    monkeypatch.setattr(used_latency, "as_used", as_used)
    monkeypatch.setattr(used_latency, "runner", lambda module, images, target: lambda: module(images))
    where: Any = {"backbone": "cifar_resnet20", "space": "places", "runtime": runtime}
    made = make_table("here.json", primitives=("none", "se"), native=False, **where)
    for row in made.table["sites"].values():
        assert row["se"] == pytest.approx(each), "all three together, or two apart where runtimes share"
    assert made.table["plain"] == pytest.approx(1)
    assert (made.cells, set(given)) == ("stock", {False})


def test_onnx_runtime_too_runs_cells_by_the_native_operator(clocked, monkeypatch, own_folder):
    if why_missing() is not None:
        pytest.skip("no compiler")
    seen = list[bool]()
    monkeypatch.setattr(
        used_latency, "runner", lambda used, *_: seen.append(holds_native(used)) or (lambda: 0)
    )
    monkeypatch.setattr("autola.device_tables.check_target", lambda _: None)  # it need not be installed
    monkeypatch.setattr(device_table, "NEEDED", {"onnxruntime": ((), ""), "openvino": ((), "")})
    given = {"backbone": "cifar_resnet8", "num_nodes": 1, "input_shape": (3, 8, 8)}
    made = make_table("here.json", runtime="onnxruntime", **given)
    assert (made.cells, seen) == ("native", ([False] + [True] * len(HOGA.candidates)) * CELLS)
    assert str(made).endswith(", native cells")
    seen.clear()
    assert make_table("other.json", runtime="openvino", **given).cells == "stock"
    assert not any(seen)
    with pytest.raises(InputError, match="openvino does not run the native operator"):
        make_table("third.json", runtime="openvino", native=True, **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runtime onnxruntimes", "invalid choice"),
        ("--device nowhere", "invalid choice"),
        ("--device mps", "device 'mps' cannot be used"),
        ("--device gpu --runtime onnxruntime", "onnxruntime runs on the CPU here"),
        ("--threads 0", "threads=0 is not positive"),
        ("--space hogo", "did you mean hoga"),
        ("--tokens 3 3", "leave out tokens"),
        ("se", "leave out attentions"),
        ("--backbone transformer_tiny", "is for images"),
        ("--backbone cifar_resnet8 --num-nodes 3", "3"),
    ],
)
def test_bad_input(options, message, refused):
    assert message in refused(f"cost --device-table here.json {options}")


def test_a_table_is_not_written_over(refused, own_folder):
    (own_folder / "here.json").write_text("mine")
    assert "here.json exists already" in refused("cost --device-table here.json")
    assert "no folder nowhere" in refused("cost --device-table nowhere/here.json")
    assert "--runtime is of a device table" in refused("cost se --runtime openvino")


def test_a_table_from_python(clocked, own_folder):
    made = make_table("here.json", backbone="cifar_resnet8", width=8, input_shape=(3, 8, 8), num_nodes=1)
    assert read_device_table(own_folder / "here.json") == made
    with pytest.raises(InputError, match="exists already"):
        make_table("here.json")


@pytest.mark.parametrize("name", ["se", "cbam", "gc", "aw"])
def test_an_operator_alone_is_timed_as_it_is_used(name):
    module = scrambled(OPERATORS[name].build(8)).eval()
    x = image(1, 8, 5, 7)
    with torch.no_grad():
        assert (as_used(module)(x) - module(x)).abs().max() <= 1e-10 * module(x).abs().max()


def test_a_cell_alone_is_timed_deployed():
    network = autola.attach(autola.build_backbone("cifar_resnet8"), "hoga").eval()
    cell = network.get_submodule("layer1.0.bn2_attention")
    assert isinstance(as_used(cell), DeployedCell)


def test_pytorch_runs_cells_by_the_native_operator():
    if why_missing() is not None:
        pytest.skip("no compiler")
    network = autola.attach(autola.build_backbone("cifar_resnet8"), "hoga").eval()
    cells = [module for module in as_used(network, native=True).modules() if isinstance(module, DeployedCell)]
    assert [cell.form for cell in cells] == ["native"] * 3
    x = image(1, 3, 8, 8).float()
    with torch.no_grad():
        assert (as_used(network, native=True)(x) - network(x)).abs().max() < 1e-4
