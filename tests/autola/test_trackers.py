"""Runs that are written to a tracker besides: what it holds, after whatever happened."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from autola.plans import experiment
from evaluators.train import Training
from outputs.trackers import TRACKERS
from outputs.tracking import IDS, Tracking, flat
from searchers.nni.experiment import Finished
from searchers.searches.differentiable import DifferentiableSearch
from tests.autola.runs import RETRAIN, SEARCH, SMALL, records, stop_at
from tests.outputs.stand_ins import STANDS

COMMANDS = {"search": SEARCH, "retrain": f"retrain se {RETRAIN}"}
JOBS = {"search": DifferentiableSearch, "retrain": Training}


@pytest.fixture(params=sorted(STANDS))
def name(request):
    return request.param


@pytest.fixture
def stand(name, monkeypatch):
    for variable in ("MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(variable, raising=False)
    return STANDS[name](monkeypatch)


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def folder(kind: str) -> Path:
    return Path("out") if kind == "search" else Path("out/se-seed0")


def check(held, run: Path) -> None:
    """A tracker's run holds what the records do: each step once, the answer, all settings."""
    wanted = [
        (line["step"], key, value)
        for line in lines(run)
        for key, value in line.items()
        if key not in ("step", "epoch") and value is not None
    ]
    result = json.loads((run / "result.json").read_text())
    ends = {f"result/{key}": value for key, value in flat(result).items()}
    figures = [(lines(run)[-1]["step"], key, ends[key]) for key in ends if not isinstance(ends[key], str)]
    assert sorted(held.figures) == sorted(wanted + figures)
    assert held.texts == {key: value for key, value in ends.items() if isinstance(value, str)}
    assert held.finished
    assert held.name == run.name
    assert held.experiment == run.resolve().parent.name
    config = flat(json.loads((run / "config.json").read_text()))
    assert held.settings.keys() == config.keys()
    assert held.tags["run"] == str(run.resolve())
    assert {"git_revision", "versions.torch", "python"} <= held.tags.keys()


def test_every_tracker_has_a_stand_in():
    assert set(TRACKERS) == set(STANDS)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_tracker_holds_what_the_records_hold(name, stand, kind, call):
    told = call(COMMANDS[kind], "--out out --tracker", name)
    assert told.code == 0, told.err
    assert "Trackio" not in told.out
    (known,) = stand.runs
    assert json.loads((folder(kind) / IDS).read_text()) == {name: known}
    check(stand.runs[known], folder(kind))


@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_run_that_goes_on_is_the_same_run(name, stand, kind, step, call, monkeypatch):
    stop_at(monkeypatch, JOBS[kind], step, KeyboardInterrupt())
    assert call(COMMANDS[kind], "--out out --tracker", name).code == 130
    (held,) = stand.runs.values()
    assert not held.finished
    told = call(f"{kind} --resume out")
    assert told.code == 0, told.err
    assert len(stand.runs) == 1
    check(held, folder(kind))


def test_steps_that_are_done_again_count_once(name, stand, call, monkeypatch):
    stop_at(monkeypatch, DifferentiableSearch, 5, KeyboardInterrupt())
    call(SEARCH, "--out out --tracker", name)
    shutil.rmtree("out/checkpoints")  # as if killed before the first
    (held,) = stand.runs.values()
    assert held.figures
    (Path("out") / "metrics.jsonl").unlink()
    assert call("search --resume out").code == 0
    steps = [step for step, key, _ in held.figures if key == "epoch_seconds"]
    assert steps == [line["step"] for line in lines(Path("out"))]


def test_what_a_killed_process_had_not_sent_is_added(name, stand, call, monkeypatch):
    stop_at(monkeypatch, DifferentiableSearch, 4, KeyboardInterrupt())
    with monkeypatch.context() as patched:
        patched.setattr(Tracking, "close", lambda tracking: None)
        call(SEARCH, "--out out --tracker", name)
    assert call("search --resume out").code == 0
    (held,) = stand.runs.values()
    check(held, Path("out"))


def test_trials_of_an_experiment_are_counted_as_steps(name, stand, call, monkeypatch):
    def run(config, problem, run, history, searcher):
        space = problem.space
        for trial, score in enumerate((0.25, None, 0.5)):
            found = space.genotype([space.candidates[trial]] * len(space.edges))
            status = "FAILED" if score is None else "SUCCEEDED"
            log = run.path / "log"
            yield Finished(trial=trial, genotype=found, score=score, status=status, seconds=1.0, log=log)

    monkeypatch.setattr(experiment, "_run", run)
    monkeypatch.setattr(experiment, "wait_for_port", lambda port, host: None)
    words = "--engine nni --searcher random --trials 3 --searcher.batch-size 10 --searcher.epochs 1"
    told = call(f"search digits {SMALL} --num-nodes 2 {words} --out out --tracker", name)
    assert told.code == 0, told.err
    (held,) = stand.runs.values()
    scores = [(step, value) for step, key, value in held.figures if key == "trial_accuracy"]
    assert scores == [(1, 0.25), (3, 0.5)]
    assert (3, "result/seconds", 3.0) in held.figures


def test_a_server_that_is_down_loses_no_training(name, stand, call, monkeypatch):
    def refuse() -> None:
        raise ConnectionError("no route\nto the server")

    stand.before_call = refuse
    told = call(SEARCH, "--out out --tracker", name)
    assert told.code == 0, told.err
    warned = [line for line in told.err.splitlines() if "no route to the server" in line]
    assert len(warned) == 1
    assert "metrics.jsonl" in warned[0]
    plain = call(SEARCH, "--out plain")
    assert plain.code == 0
    left = ("config.json", "environment.json")
    with_, without = records(Path("out")), records(Path("plain"))
    assert {key: with_[key] for key in with_ if key not in left} == {
        key: without[key] for key in without if key not in left
    }


def test_what_a_tracker_missed_is_made_up_for_at_the_end(name, stand, call, monkeypatch):
    calls = []

    def refuse_one() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ConnectionError("away")

    stand.before_call = refuse_one
    told = call(SEARCH, "--out out --tracker", name)
    assert (told.code, told.err.count("away")) == (0, 1)
    check(stand.runs[json.loads((Path("out") / IDS).read_text())[name]], Path("out"))


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_missing_package_is_named_before_anything_is_written(name, kind, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, TRACKERS[name].package, None)
    message = refused(COMMANDS[kind], "--out out --tracker", name)
    assert f"pip install 'autola[{name}]'" in message


def test_what_is_no_list_of_trackers_is_refused(refused):
    assert "mlflow" in refused(SEARCH, "--tracker mflow")
    assert "twice" in refused(SEARCH, "--tracker mlflow mlflow")
    assert "none" in refused(SEARCH, "--tracker none mlflow")


def test_trackio_that_writes_elsewhere_is_refused(refused, monkeypatch):
    STANDS["trackio"](monkeypatch)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "someone/space")
    assert "TRACKIO_SPACE_ID" in refused(SEARCH, "--tracker trackio")


def test_mlflow_writes_beside_the_runs_or_where_it_is_sent(call, monkeypatch, own_folder):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    stand = STANDS["mlflow"](monkeypatch)
    assert call(COMMANDS["retrain"], "--out runs/out --tracker mlflow").code == 0
    assert set(stand.addresses) == {(own_folder / "runs" / "mlruns").as_uri()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    stand.addresses.clear()
    assert call(SEARCH, "--out other --tracker mlflow").code == 0
    assert set(stand.addresses) == {"http://localhost:5000"}
    assert not (own_folder / "mlruns").exists()
