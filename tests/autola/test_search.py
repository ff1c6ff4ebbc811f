"""A search from the command line: its records, and the same answer however often it is stopped."""

import json

import pytest
import torch

from autola import drive
from autola.plans import single
from outputs.environment import environment
from outputs.metrics_log import MetricsLog
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at
from searchers import SEARCHERS, SearcherConfig
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.trained import TrainedSearch
from tests.autola.runs import SEARCH, assert_goes_on, records, stop_at

RANDOM = (
    "search digits --data.limit 60 --width 8 --searcher random --searcher.trials 2 --searcher.epochs 1 "
    "--searcher.batch-size 10"
)


def test_a_search_leaves_all_its_records(found):
    names = {path.name for path in found.iterdir()} - {".lock"}
    assert names == {
        *("config.json", "environment.json", "data.json", "metrics.jsonl", "genotype.json", "shares.json"),
        *("weights.safetensors", "result.json", "tensorboard"),
    }
    lines = [json.loads(line) for line in (found / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"weight_loss", "alpha_loss", "alpha_entropy", "epoch_seconds"} <= lines[0].keys()
    genotype = genotype_at(found)
    assert json.loads((found / "result.json").read_text())["genotype"] == str(genotype)
    shares = RunDirectory.open(found).shares()
    assert shares is not None
    for node, edge in genotype.edges():
        row = shares[node, edge.index]
        assert row[edge.operator] == max(share for name, share in row.items() if name != "none")


def test_the_end_says_what_to_do_next(call):
    told = call(SEARCH, "--out run")
    assert told.code == 0
    lines = dict(line.split(maxsplit=1) for line in told.out.splitlines())
    assert lines["found"] == str(genotype_at("run"))
    assert lines["look"] == "autola inspect run"
    assert lines["next"] == (
        "autola retrain none se cbam hoga:run --preset digits --width 8 --data.limit 60 --train.batch-size 10"
    )
    assert told.err.count("epoch ") == 2


def test_the_environment_is_what_decides_the_numbers(found):
    known = json.loads((found / "environment.json").read_text())
    assert known.keys() == environment(torch.device("cpu"), 0).keys() | {"settings"}
    assert known["num_threads"] == 1
    assert known["seed"] == 0


@pytest.mark.parametrize("command", [SEARCH, RANDOM], ids=["darts", "random"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(call, own_folder, command):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        assert call(command, f"--seed {seed} --out {name}").code == 0
    one, two, other = (own_folder / name for name in ("one", "two", "other"))
    assert (one / "genotype.json").read_bytes() == (two / "genotype.json").read_bytes()
    assert records(one) == records(two)
    assert (one / "weights.safetensors").read_bytes() != (other / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("step", "often"), [(0, False), (2, False), (3, False), (2, True), (5, True)])
def test_a_search_that_is_stopped_anywhere_finds_the_same(
    call, monkeypatch, own_folder, finished, step, often
):
    if often:
        monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", -1.0)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, DifferentiableSearch, step, KeyboardInterrupt())
        assert call(SEARCH, "--out run").code == 130
    with (own_folder / "run/metrics.jsonl").open("a") as file:
        file.write('{"epoch": 7, "epoch_sec')  # the line that was being written
    told = call("search --resume run")
    assert told.code == 0
    assert ("going on at step" in told.err) == (step >= (1 if often else 3))
    assert records(own_folder / "run") == records(finished[0])


def test_a_random_search_that_is_stopped_finds_the_same(call, own_folder):
    assert call(RANDOM, "--out whole").code == 0
    assert_goes_on(call, RANDOM, TrainedSearch, 4)


@pytest.mark.parametrize(
    ("owner", "record"),
    [
        (MetricsLog, "append"),
        (RunDirectory, "save_checkpoint"),
        (single, "save_weights"),
        (RunDirectory, "write_json"),
        (RunDirectory, "drop_checkpoints"),
    ],
)
def test_a_search_that_is_stopped_between_two_records_finds_the_same(
    call, own_folder, finished, owner, record
):
    real, stopped = getattr(owner, record), []

    def fails(*arguments):
        if not stopped and (record != "write_json" or arguments[1] == "result.json"):
            stopped.append(record)
            raise KeyboardInterrupt
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, record, fails)
        assert call(SEARCH, "--out run").code == 130
    assert stopped
    assert call("search --resume run").code == 0
    assert records(own_folder / "run") == records(finished[0])


def test_files_that_were_being_written_are_removed(call, own_folder):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, DifferentiableSearch, 4, KeyboardInterrupt())
        assert call(SEARCH, "--out run").code == 130
    run = own_folder / "run"
    left = [".genotype.json.a1b2c3d4.json", ".weights.safetensors.a1_2c3d4.safetensors"]
    left += [".front.png.ffgkoogn.png", ".tmppdjOPr"]  # drawings; what safetensors itself writes to
    kept = [".gitignore", ".notes.txt", ".old.backups1.json", ".genotype.json", "notes.json"]
    for name in left + kept:
        (run / name).touch()
    (run / "checkpoints" / ".step-000000006.pt.abcdefgh.pt").touch()
    assert call("search --resume run").code == 0
    names = {path.name for path in run.iterdir()}
    assert names.isdisjoint(left)
    assert names.issuperset(kept)
    assert not (run / "checkpoints").exists()


def test_there_is_a_genotype_after_every_epoch(call, own_folder):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, DifferentiableSearch, 3, KeyboardInterrupt())
        assert call(SEARCH, "--out run").code == 130
    assert isinstance(genotype_at(own_folder / "run"), Genotype)
    assert call("inspect run --no-latency").code == 0
    assert call("retrain hoga:run --data.limit 60 --width 8 --train.epochs 0").code == 2


def test_a_search_that_a_guard_stops_says_so(call, own_folder, monkeypatch):
    monkeypatch.setattr(SearcherConfig, "check_budget", lambda *given: None)  # one operator leads everywhere
    told = call(SEARCH, "--primitives skip_connect --searcher.guards.most-skips 2 --out run")
    assert told.code == 0
    why = (
        "stopped after epoch 1: skip_connect leads on 3 edges, more than 2; the answer is that of epoch 1, "
        "with skip_connect left on the edges it leads most on"
    )
    assert told.err.count(f"the search {why}") == 1
    assert json.loads((own_folder / "run/result.json").read_text())["stopped"] == why
    lines = (own_folder / "run/metrics.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert {"skip_share", "skip_edges"} <= json.loads(lines[0]).keys()
    assert call("search --resume run").code == 0


def test_runs_without_a_name_get_one_each(call, own_folder):
    short = SEARCH.replace("epochs 2", "epochs 1")
    for _ in range(2):
        assert call(short).code == 0
    runs = list((own_folder / "outputs/runs").iterdir())
    assert len(runs) == 2
    assert all(run.name.startswith("search-digits-") for run in runs)


def test_the_lock_is_given_back_where_a_search_fails(call, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, DifferentiableSearch, 1, KeyboardInterrupt())
        assert call(SEARCH, "--out run").code == 130
    RunDirectory.open("run").lock().unlock()


def test_every_searcher_can_be_named(call):
    for name in SEARCHERS:
        told = call(f"search --searcher {name} --help").out
        assert "--searcher.epochs" in told or "--searcher.trials" in told
