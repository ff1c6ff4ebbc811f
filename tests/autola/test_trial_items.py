"""Trials of black-box searchers as items of work: the same records as in one process, whoever does them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from autola.api import changed
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from autola.retraining import run_retraining
from autola.run_search import run_search
from autola.working.items import read_item
from autola.working.worker import main
from autola.working.worklist import WorkList
from foundation.errors import InputError
from search_space.grammar import parse_attention
from searchers.random import Random
from searchers.searches.trained import TrainedSearch
from tests.autola.runs import SEARCH, records, stop_at

TRIALS = "--searcher evolution --searcher.no-shared --trials 5 --searcher.population 2 --searcher.at-once 2"


class Inside:
    """An executor whose workers work in this process, at the moment that they are started."""

    most, where, local = 1, "in the test", False

    def __init__(self) -> None:
        self.said, self.tasks = list[str](), 0

    def open(self, *, gpus: bool, threads: int) -> None: ...

    def start(self, task: str) -> None:
        self.tasks += 1
        self.said.append(main(task))

    def alive(self) -> int:
        return 0

    def ended(self) -> list[Any]:
        return []

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def inside(monkeypatch) -> Inside:
    place = Inside()
    monkeypatch.setattr("autola.commands.search.executor_of", lambda on: None if on == "here" else place)
    return place


def test_workers_find_what_one_process_finds(call, own_folder, inside):
    words = SEARCH.replace("--searcher.epochs 2", "--searcher.epochs 1")
    assert call(f"{words} {TRIALS} --out alone").code == 0
    told = call(f"{words} {TRIALS} --out list --on here:2")
    assert told.code == 0, told.err
    alone, found = records(own_folder / "alone"), records(own_folder / "list")
    whole = {name: content for name, content in found.items() if not name.startswith(("trial-", "work.json"))}
    assert whole == alone
    assert inside.tasks == 3, "a worker for each of the batches of 2, 2 and 1"
    assert set(inside.said) == {""}
    seen = {read_item(own_folder / "list" / name).candidate for name in WorkList(own_folder / "list").names}
    assert len(seen) > 1

    # It goes on from whatever is there: without its end, without the last batch, without any records.
    for gone in (["result.json"], ["result.json", "trial-5"], ["result.json", "trial-5", "metrics.jsonl"]):
        for name in gone:
            path = own_folder / "list" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        assert call("search --resume list").code == 0
        again = records(own_folder / "list")
        assert {name: again[name] for name in alone} == alone

    # An item that judges something else is not taken for the search's.
    (own_folder / "list/result.json").unlink()
    path = own_folder / "list/trial-3/work/item.json"
    shutil.copy(own_folder / "list/trial-1/work/item.json", path)
    assert "trial-3 judges another candidate" in call("search --resume list").err


def test_a_search_of_one_process_is_not_taken_over(call, own_folder, inside):
    words = SEARCH.replace("--searcher.epochs 2", "--searcher.epochs 1")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TrainedSearch, 4, KeyboardInterrupt())
        assert call(f"{words} {TRIALS} --out run").code == 130
    told = call("search --resume run --on here:2")
    assert told.code == 2
    assert "was begun by one process, which alone can go on; leave out --on" in told.err


def test_what_no_worker_can_do_leaves_no_folder(own_folder):
    class Nowhere(Inside):
        def open(self, *, gpus: bool, threads: int) -> None:
            raise InputError("no cluster at nowhere")

    few = {"trials": 2, "epochs": 1, "batch_size": 10}
    search = changed(replace(SEARCH_PRESETS["digits"], searcher=Random()), {"searcher": few, "width": 8})
    with pytest.raises(InputError, match="no cluster at nowhere"):
        run_search(search, own_folder / "run", on=Nowhere())
    retraining = changed(RETRAIN_PRESETS["digits"], {"attentions": (), "width": 8})
    retraining = replace(retraining, attentions=(parse_attention("none"),))
    with pytest.raises(InputError, match="no cluster at nowhere"):
        run_retraining(retraining, own_folder / "run", on=Nowhere())
    assert not (own_folder / "run").exists()


def test_why_a_trial_has_no_score_is_said(call, inside):
    words = SEARCH.replace("--searcher.epochs 2", "--searcher.epochs 1")
    told = call(
        words,
        "--searcher random --trials 1 --searcher.learning-rate 1e30 --searcher.clip 0 --out run --on far",
    )
    assert told.code == 2
    assert "trial 1 failed: the loss is not finite at step" in told.err
    assert "the training of every candidate diverged" in told.err
