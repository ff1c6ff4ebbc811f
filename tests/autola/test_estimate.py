"""What a run will take: sums that follow from what was timed, and nothing left of the timing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import autola
from autola import estimating
from autola.estimating import side_by_side, training_seconds
from autola.pace import Clock, Pace, evaluation_seconds
from tests.autola.runs import RETRAIN, SEARCH, SMALL

FAST = "--seconds 0.01"
PACE = Pace(step=2.0, epoch_end=10.0, end=100.0, checkpoint=1.0, checkpoint_bytes=7, kept_bytes=5, steps=4)


class Ticking(Clock):
    """A clock that goes on by a second with every look."""

    def __init__(self, budget: float) -> None:
        super().__init__(torch.device("cpu"), budget)
        self.seconds = 0.0

    def now(self) -> float:
        self.seconds += 1.0
        return self.seconds


def test_a_training_is_the_sum_of_its_parts() -> None:
    assert training_seconds(PACE, total_steps=60, steps_per_epoch=20) == 3 * (20 * 2.0 + 10.0) + 100.0
    # 200 s of steps an epoch: one checkpoint within it.
    assert training_seconds(PACE, total_steps=200, steps_per_epoch=100) == 2 * (200.0 + 10.0 + 1.0) + 100.0


def test_trainings_side_by_side() -> None:
    assert side_by_side([4.0, 3.0, 2.0], 1, start=10.0) == 9.0
    assert side_by_side([4.0, 3.0, 2.0], 2, start=10.0) == 15.0


def test_a_long_evaluation_is_timed_in_part() -> None:
    network, passes = nn.Identity(), 1000
    done = []

    def evaluate() -> None:
        for number in range(passes):
            network(torch.zeros(1))
            done.append(number)

    clock = Ticking(budget=10.0)
    seconds = evaluation_seconds(clock, network, evaluate, passes)
    assert len(done) < 20
    assert seconds == pytest.approx(passes, rel=0.01)  # a look, and so a second, a pass
    done.clear()
    assert evaluation_seconds(Ticking(budget=10.0), network, evaluate, None) > passes
    assert len(done) == passes
    assert not network._forward_pre_hooks


def test_steps_are_counted_after_the_warm_up() -> None:
    done = []
    seconds, count = Ticking(budget=1e9).steps(lambda: done.append(1), most=12)
    assert (len(done), count) == (12, 10)
    assert seconds > 0


@pytest.mark.parametrize("searcher", ["random", "random_ws", pytest.param("sgas", marks=pytest.mark.slow)])
def test_searches(searcher: str, call, own_folder: Path) -> None:
    words = f"search digits {SMALL} --num-nodes 2 --searcher {searcher} --searcher.epochs 2 {FAST} --json"
    if searcher.startswith("random"):
        words += " --trials 2"
    told = call(f"estimate {words} --searcher.batch-size 10")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    (part,) = found["parts"]
    assert part["count"] == 1
    assert 0 < found["start_seconds"] < found["seconds"]
    assert found["seconds"] == pytest.approx(found["start_seconds"] + part["seconds"])
    assert found["disk_bytes"] == found["kept_bytes"] + 3 * part["checkpoint_bytes"]
    assert list(own_folder.iterdir()) == []


def test_what_is_written_is_what_a_search_writes(call, finished) -> None:
    found = json.loads(call(f"estimate {SEARCH} {FAST} --json").out)
    (part,) = found["parts"]
    lines = (finished[0] / "metrics.jsonl").read_text().splitlines()
    assert part["steps"] == json.loads(lines[-1])["step"]
    weights = (finished[0] / "weights.safetensors").stat().st_size
    assert weights < found["kept_bytes"] < weights + 100_000


def test_retrainings(call, own_folder: Path, finished) -> None:
    told = call(f"estimate retrain none hoga {RETRAIN} {FAST} --json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert [part["name"] for part in found["parts"]] == ["none", "hoga"]
    for part in found["parts"]:
        member = finished[1] / f"{part['name']}-seed0"
        lines = (member / "metrics.jsonl").read_text().splitlines()
        assert part["steps"] == json.loads(lines[-1])["step"]
        weights = (member / "weights.safetensors").stat().st_size
        assert weights < part["kept_bytes"] < weights + 100_000
        assert part["checkpoint_bytes"] > 2 * weights  # weights, momentum, and the best weights
    assert found["memory_bytes"] > 1e8
    assert list(own_folder.iterdir()) == []
    shown = call(f"estimate retrain none {RETRAIN} {FAST}").out
    assert shown.splitlines()[-3].startswith("time    ")


def test_from_python(monkeypatch) -> None:
    seen = {}

    def fake(config, way):
        seen["config"], seen["way"] = config, way

    monkeypatch.setattr(estimating, "estimate_retraining", fake)
    monkeypatch.setattr(estimating, "estimate_search", fake)
    autola.estimate("retrain", "se", seeds=(3,), jobs=2)
    assert seen["config"].seeds == (3,)
    assert seen["way"].jobs == 2
    autola.estimate("search", searcher={"epochs": 7}, out="there")
    assert seen["config"].searcher.epochs == 7
    assert seen["way"].out == Path("there")
    with pytest.raises(autola.InputError, match="no attentions"):
        autola.estimate("search", "se")


def test_what_cannot_be_estimated(refused, call) -> None:
    assert "leave out --resume" in refused("estimate search --resume found")
    assert "leave it out" in refused("estimate search digits --searcher random --engine nni")
    assert "leave out --devices" in refused("estimate retrain none --devices 2 --train.batch-size 20")
    assert "name at least one attention" in refused("estimate retrain")
    assert "unknown searcher" in refused("estimate search --searcher nosuch")
    assert refused("estimate")
    assert refused("estimate export")
    assert refused("estimate search --seconds 0")
    assert "Seconds of steps" in " ".join(call("estimate --help").out.split())


def test_notes_where_it_does_not_fit(monkeypatch) -> None:
    way = estimating.Way(jobs=1)
    estimate = estimating.Estimate(
        seconds=1.0, start_seconds=0.0, memory_bytes=10, device_bytes=None, disk_bytes=10, kept_bytes=1,
        free_memory_bytes=5, free_disk_bytes=5, device="cpu", parts=(), notes=(),
    )  # fmt: skip
    assert len(list(estimating._notes(estimate, way))) == 2
    assert not list(estimating._notes(replace(estimate, free_memory_bytes=99, free_disk_bytes=99), way))


@pytest.mark.slow
def test_perturbation_and_curvature_are_timed(call) -> None:
    told = call(
        f"estimate search digits {SMALL} --num-nodes 2 --searcher.derive perturbation --searcher.epochs 1 "
        f"--searcher.batch-size 10 --searcher.guards.curvature-every 1 {FAST} --json"
    )
    assert told.code == 0, told.err
