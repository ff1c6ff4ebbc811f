"""Limits on cost from the command line: kept, refused, and several of them as a Pareto front."""

import json
from dataclasses import replace

import pytest

from autola import problem
from evaluators.cost import measure
from evaluators.cost_table import CostTable
from foundation.config import parse_json, to_json
from outputs.front import Front, Point, dominated, draw_front
from search_space.grammar import genotype_at
from search_space.space import SPACES
from search_space.term import Term
from searchers.searches.trained import TrainedSearch
from tests.autola.runs import SEARCH, SMALL, records, stop_at

DRAWN = f"search digits {SMALL} --num-nodes 2 --searcher random --searcher.batch-size 10 --searcher.epochs 1"


def cost(run):
    term = Term(name="hoga", genotype=genotype_at(run))
    return measure("cifar_resnet8", (term,), input_shape=(1, 8, 8), width=8, latency=False, activation=False)


@pytest.mark.parametrize("search", [SEARCH, f"{DRAWN} --searcher.trials 2"], ids=["darts", "random"])
def test_a_limit_is_kept_by_what_is_found_and_by_what_is_resumed(search, call, own_folder, monkeypatch):
    plain = measure("cifar_resnet8", "none", input_shape=(1, 8, 8), width=8, latency=False, activation=False)
    assert call(search, "--target macs<=1.18x,params<=1.28x --out found").code == 0
    assert cost(own_folder / "found").macs <= 1.18 * plain.macs
    assert cost(own_folder / "found").params <= 1.28 * plain.params
    stored = json.loads((own_folder / "found" / "data.json").read_text())["costs"]
    assert stored["macs"]["plain"] == plain.macs


def test_latency_is_measured_once_and_stored(call, own_folder, monkeypatch):
    table = CostTable(plain=2.0, fixed=3.0, operators=dict.fromkeys(SPACES["hoga"].candidates, 1.0))
    table.operators["SE"] = 0.25
    calls = []
    monkeypatch.setattr(problem, "table_of", lambda *given: calls.append(given[0]) or table)
    search = f"{DRAWN} --searcher.trials 2 --target latency<=2x"
    assert call(search, "--out whole").code == 0
    assert {edge.operator for _, edge in genotype_at(own_folder / "whole").edges()} == {"SE"}
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TrainedSearch, 2, KeyboardInterrupt())
        assert call(search, "--out cut").code == 130
    assert calls == ["latency", "latency"]
    assert call("search --resume cut").code == 0
    assert calls == ["latency", "latency"], "a run that goes on has its table"
    assert records(own_folder / "cut") == records(own_folder / "whole")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("macs<=1.0x", r"no genotype has macs <= "),
        ("macs<=48Q", "unknown unit 'Q' of macs; known: a bare number, k, M, G, x"),
        ("flops<=48M", "unknown metric 'flops'; known: latency, macs, params"),
        ("macs<=2x macs<=2x", "a target is given twice"),
        ("macs<=2x params<=1.0x", "no genotype has params <= "),
    ],
)
def test_impossible_targets_are_refused(target, message, refused):
    assert message in refused(f"{DRAWN} --target {target}")


def test_a_searcher_that_cannot_search_the_problem_is_refused_before_a_front_is_made(refused):
    for targets in ("", "--target macs<=2x params<=2x"):
        assert "leave out recompute" in refused(f"{SEARCH} --recompute --searcher.order second {targets}")


def test_several_targets_make_a_front_that_is_resumed(call, own_folder):
    search = f"{DRAWN} --searcher.trials 2 --target macs<=1.17x macs<=1.4x"
    told = call(search, "--out whole")
    assert told.code == 0, told
    assert "front  whole/front.png" in told.out
    front = json.loads((own_folder / "whole" / "front.json").read_text())
    assert [point["run"] for point in front["points"]] == ["macs-1.17x", "macs-1.4x"]
    for point in front["points"]:
        assert point["costs"]["macs"] == cost(own_folder / "whole" / point["run"]).macs
    assert any(point["on_front"] for point in front["points"])
    assert (own_folder / "whole" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert call("inspect whole --no-latency").code == 0
    with pytest.MonkeyPatch.context() as patch:
        # In the second of the two searches.
        real, seen = TrainedSearch.advance, []

        def advance(self):
            seen.append(self.step)
            if len(seen) == 8:
                raise KeyboardInterrupt
            real(self)

        patch.setattr(TrainedSearch, "advance", advance)
        assert call(search, "--out cut").code == 130
    assert call("search --resume cut").code == 0
    whole, cut = records(own_folder / "whole"), records(own_folder / "cut")
    assert whole.keys() == cut.keys()
    assert whole["front.json"] == cut["front.json"]
    assert whole["macs-1.4x/weights.safetensors"] == cut["macs-1.4x/weights.safetensors"]


def test_a_point_is_on_the_front_unless_another_is_better_in_something_and_worse_in_nothing():
    def point(score, macs):
        return Point(target="", run="", genotype="", score=score, costs={"macs": macs})

    points = (point(0.9, 10), point(0.8, 10), point(0.8, 5), point(0.7, 6), point(0.9, 10))
    front = Front(points=points, metrics=("macs",))
    on_front = [not dominated(each, front.points, front.metrics) for each in front.points]
    assert on_front == [True, False, True, False, True]


def test_a_front_is_drawn_beside_the_plain_network(tmp_path):
    costs = ({"macs": 9e6, "params": 3e5}, {"macs": 8e6, "params": 4e5}, {"macs": 9e6, "params": 5e5})
    points = [
        Point(target=f"macs<={number}x", run="", genotype="", score=score, costs=each)
        for number, (score, each) in enumerate(zip((0.9, 0.8, 0.7), costs), 1)
    ]
    points = [replace(each, on_front=not dominated(each, points, ("macs", "params"))) for each in points]
    for plain in ({}, {"macs": 7e6}):
        front = Front(points=tuple(points), metrics=("macs", "params"), plain=plain)
        assert parse_json(Front, to_json(front), "front") == front
        path = tmp_path / f"{len(plain)}.png"
        draw_front(front, path)
        assert path.read_bytes().startswith(b"\x89PNG")
    single = Front(points=tuple(points[:1]), metrics=("macs",), plain={"macs": 9e6})
    draw_front(single, tmp_path / "single.png")
