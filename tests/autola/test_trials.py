"""A search as an NNI experiment: a process for every trial, whatever becomes of it."""

import json
import socket
from contextlib import closing

import pytest

from autola import trials
from search_space.grammar import genotype_at
from searchers.nni.tuners import name_of
from tests.autola.runs import SMALL

SEARCH = f"search digits --engine nni {SMALL} --num-nodes 2 --searcher.batch-size 10 --searcher.epochs 1"

MOODY = """
import os, time
number = os.environ.get("NNI_TRIAL_SEQ_ID")
if number == "0":
    raise ValueError("a bad day")
if number == "1":
    time.sleep(1000)
"""
"""Trial 0 crashes, trial 1 hangs."""


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_port_in_use_is_refused(refused):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(f"{SEARCH} --searcher random --portal-port {port}")
    assert f"portal port {port} is in use; choose another one: --portal-port {port + 1}" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "darts is no black-box searcher, so --engine nni cannot run it; choose for example random"),
        ("--searcher evolution --searcher.shared", "add --searcher.no-shared"),
        ("--searcher random --portal-port 80", "portal port 80 is not in 1024 ... 65534"),
        ("--searcher random --concurrency 0", "concurrency=0 is not positive"),
        ("--searcher random --trial-minutes 0", "trial_minutes=0.0 is not positive"),
        ("--searcher random --target macs<=2x macs<=3x", "takes one --target"),
        ("--searcher nni:tpee", "unknown searcher 'nni:tpee'; did you mean nni:tpe?"),
        ("--searcher nobody", "unknown searcher 'nobody'; known: darts"),
        ("--searcher random --trials 0", "trials=0 is not positive; a search judges at least one candidate"),
    ],
)
def test_bad_input(options, message, refused):
    assert message.split("known: ")[0] in refused(f"{SEARCH} --portal-port {free_port()} {options}")


def test_trials_are_for_searchers_that_have_some(refused):
    assert "darts has no trials" in refused("search digits --trials 3")


def test_a_training_service_is_read_from_json(refused, own_folder):
    (own_folder / "service.json").write_text("[1, 2")
    assert "service.json: cut short or not JSON" in refused(
        f"{SEARCH} --searcher random --portal-port {free_port()} --training-service service.json"
    )


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


# NNI leaves files and sockets open.
leaks = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaks
@pytest.mark.slow
def test_a_trial_that_crashes_or_hangs_is_recorded_and_the_experiment_goes_on(call, own_folder):
    (own_folder / "moody.py").write_text(MOODY)
    told = call(
        f"{SEARCH} --import moody --searcher evolution --trials 4 --concurrency 4 --trial-minutes 3",
        f"--portal-port {free_port()} --out run",
    )
    assert told.code == 0, told
    ended = {line["trial"]: line for line in lines(own_folder / "run")}
    assert {trial: line["status"] for trial, line in ended.items()} == {
        0: "crashed",
        1: "too slow",
        2: "succeeded",
        3: "succeeded",
    }
    assert "a bad day" in (own_folder / "run" / ended[0]["log"] / "trial.stderr").read_text()
    best = max((2, 3), key=lambda trial: ended[trial]["trial_accuracy"])
    assert json.loads(genotype_at(own_folder / "run").to_json()) == ended[best]["genotype"]


@leaks
@pytest.mark.slow
def test_an_experiment_that_is_stopped_goes_on_and_its_trials_are_those_of_a_search_here(
    call, own_folder, monkeypatch
):
    port = free_port()
    search = f"{SEARCH} --searcher nni:tpe --trials 3 --portal-port {port}"
    real = trials._record

    def stop(*given):
        real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trials, "_record", stop)
        assert call(search, "--out run").code == 130
    assert len(lines(own_folder / "run")) == 1
    assert call("search --resume run").code == 0
    assert [line["trial"] for line in lines(own_folder / "run")] == [0, 1, 2]
    assert call("search --resume run").code == 0, "it is complete"
    # One trial at a time sees what a search in this process sees.
    assert call(search.replace("--engine nni", ""), "--threads 1 --out here").code == 0
    here = [line["trial_accuracy"] for line in lines(own_folder / "here")]
    assert here == [line["trial_accuracy"] for line in lines(own_folder / "run")]
    assert genotype_at(own_folder / "here") == genotype_at(own_folder / "run")


def test_edges_have_names_that_a_portal_shows():
    assert name_of((2, 0)) == "h2_0"


@leaks
@pytest.mark.slow
def test_a_tuner_that_breaks_down_ends_the_experiment(call, own_folder):
    (own_folder / "broken.py").write_text("import sys\nassert 'dispatch' not in sys.modules\n")
    told = call(
        f"{SEARCH} --import broken --searcher random --trials 2 --portal-port {free_port()} --out run"
    )
    assert told.code == 2, told
    assert "autola: the tuner broke down; see " in told.err
    assert (own_folder / "run" / "config.json").is_file()
