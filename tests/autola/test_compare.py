"""A comparison from the command line: what it trains, stopped, topped up, and what it allows one to say."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import autola
from autola import drive
from autola.cli import main
from autola.comparing import running
from autola.comparing.config import OWN_SEEDS
from autola.comparing.plan import PLAN
from evaluators.statistics.difference import difference
from evaluators.statistics.nested import Nested
from evaluators.statistics.power import Design, detectable
from foundation.config import parse_json
from foundation.errors import NoSpaceError
from outputs.comparison import Comparison, front
from outputs.run_directory import RunDirectory
from tests.autola.runs import records

FEW = "--data.limit 60 --width 8 --train.epochs 1 --train.batch-size 20 --train.warmup-epochs 0"
SMALL = (
    f"{FEW} --search.num-nodes 2 --search.searcher.epochs 1 --search.searcher.batch-size 10 --no-measure "
    "--search.target macs<=1.4x --search-seeds 0 1 --seeds 0 --random-cells 2 --random-seeds 0 "
    "--control-seeds 0 1"
)
COMMAND = f"compare {SMALL} --beside random plain wider se-wrapped"
FOLDERS = {
    *("search-seed0", "search-seed1", "found0-seed0", f"found1-seed{OWN_SEEDS}"),
    *("random0-seed0", f"random1-seed{OWN_SEEDS}", "plain-seed0", "plain-seed1"),
    *("wider-seed0", "wider-seed1", "se-wrapped-seed0", "se-wrapped-seed1"),
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison, complete; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    assert main([*COMMAND.split(), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def copy(compared: Path, own_folder: Path) -> Path:
    return Path(shutil.copytree(compared, own_folder / "copy"))


def comparison(run: Path) -> Comparison:
    return parse_json(Comparison, (run / "comparison.json").read_text(), "comparison")


def folders(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if path.is_dir()}


def test_every_search_and_training_has_a_folder_of_its_own(compared):
    assert folders(compared) == FOLDERS
    assert all(RunDirectory(compared / name).complete() for name in FOLDERS)
    assert json.loads((compared / "plain-seed1/config.json").read_text())["seeds"] == [1]
    assert (compared / "comparison.png").stat().st_size > 5000


def test_the_record_is_made_of_the_results(compared):
    told = comparison(compared)
    assert told.done == told.planned == 10
    assert [row.name for row in told.rows] == ["found", "random", "plain", "wider", "se-wrapped"]
    for row in told.rows:
        prefix = row.name if len(row.cells) == 1 else f"{row.name}{{}}"
        for number, cell in enumerate(row.cells):
            for seed, score in zip(cell.seeds, cell.scores):
                result = compared / f"{prefix.format(number)}-seed{seed}" / "result.json"
                assert json.loads(result.read_text())["score"] == score
    found, *rest = told.rows
    assert [claim.second for claim in told.claims] == [row.name for row in rest]
    assert [claim.primary for claim in told.claims] == [True, False, False, False]
    units = {row.name: Nested(tuple(cell.scores for cell in row.cells)) for row in told.rows}
    for claim in told.claims:
        own = difference(units["found"], units[claim.second])
        assert claim.estimate == own.estimate
        assert (claim.low, claim.high) == (own.interval() or (None, None))
    assert all(cell.search_score is not None for cell in found.cells)
    assert told.improvement == pytest.approx(found.mean / rest[0].mean - 1)
    assert "cells found by darts under macs<=1.4x" in told.sentence


def test_tables_hold_every_score(compared):
    with (compared / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    told = comparison(compared)
    assert [float(line["score"]) for line in lines] == [
        score for row in told.rows for cell in row.cells for score in cell.scores
    ]
    with (compared / "comparison.csv").open(newline="") as file:
        assert [line["row"] for line in csv.DictReader(file)] == [row.name for row in told.rows]


def test_what_is_claimed_and_seen_was_settled_before(compared):
    plan = json.loads((compared / PLAN).read_text())
    primary = plan["contrasts"][0]
    assert (primary["first"], primary["second"], primary["primary"]) == ("found", "random", True)
    expected = detectable(Design(2, 1), Design(2, 1), between=0.0, within=0.005)
    assert primary["detectable"] == pytest.approx(expected)
    assert plan["trainings"] == 10
    first = min(path.stat().st_mtime_ns for path in compared.glob("*-seed*/config.json"))
    assert (compared / PLAN).stat().st_mtime_ns < first


def test_random_cells_and_searches_keep_the_same_limit(compared):
    told = comparison(compared)
    plain = told.rows[2].cells[0].macs
    for row in told.rows[:2]:
        assert all(cell.macs <= 1.4 * plain for cell in row.cells)


def test_what_is_complete_is_left_as_it_is(call, copy):
    before = records(copy)
    told = call(f"compare --resume {copy}")
    assert told.code == 0
    assert "is complete" in told.err
    assert comparison(copy).sentence in told.out.replace("\n", " ").replace("  ", " ")
    assert records(copy) == before


def undone(run: Path, *names: str) -> Path:
    """A comparison that has not come to some of its trainings."""
    for name in names:
        shutil.rmtree(run / name)
    (run / "comparison.json").unlink()
    return run


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Interrupts one search or training, once, after its folder was made."""
    real, met = drive.drive, list[str]()

    def interrupted(job: Any, run: RunDirectory, *given: Any, **more: Any) -> None:
        if run.path.name == name and not met:
            met.append(name)
            raise KeyboardInterrupt
        real(job, run, *given, **more)

    monkeypatch.setattr("autola.member.drive", interrupted)
    monkeypatch.setattr("autola.plans.single.drive", interrupted)


def test_stopped_and_resumed_it_ends_the_same_to_the_bit(call, compared, copy, monkeypatch):
    interrupt(monkeypatch, "wider-seed0")
    told = call(f"compare --resume {undone(copy, 'wider-seed0', 'plain-seed1')}")
    assert told.code == 130
    assert f"--resume {copy} goes on" in told.err
    assert call(f"compare --resume {copy}").code == 0
    assert records(copy) == records(compared)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["search-seed1", f"found1-seed{OWN_SEEDS}", "wider-seed0"])
def test_stopped_anywhere_it_ends_the_same_to_the_bit(call, compared, own_folder, monkeypatch, phase):
    interrupt(monkeypatch, phase)
    told = call(f"{COMMAND} --out run")
    assert told.code == 130
    assert "--resume run goes on" in told.err
    assert call("compare --resume run").code == 0
    assert records(own_folder / "run") == records(compared)


def test_time_that_is_over_ends_in_a_table_of_what_is_there(call, compared, copy, monkeypatch):
    undone(copy, "plain-seed0", "wider-seed0", "wider-seed1")
    passed = iter([0, 0, 1])
    with monkeypatch.context() as patch:
        clock = SimpleNamespace(monotonic=lambda: next(passed, 100))
        patch.setattr("autola.comparing.running.time", clock)
        patch.setattr("autola.working.driver.time", clock)
        told = call(f"compare --resume {copy} --minutes 0.1")
    assert told.code == 0
    some = comparison(copy)
    assert 7 < some.done < 10
    assert all(claim.verdict == "no test" for claim in some.claims)
    assert f"{10 - some.done} of 10 trainings" in told.out
    assert call(f"compare --resume {copy}").code == 0
    assert records(copy) == records(compared)


def test_no_time_at_all_leaves_what_can_be_gone_on_with(call, own_folder):
    told = call(f"{COMMAND} --out run --minutes 1e-9")
    assert told.code == 0
    assert "10 of 10 trainings are left" in told.out
    assert folders(own_folder / "run") == set()


def test_between_searches_and_trainings_status_knows_what_is_left(call, refused, copy):
    undone(copy, *(name for name in FOLDERS if not name.startswith("search")))
    path, searches = copy / "work.json", {"items": ["search-seed0", "search-seed1"], "more": 10}
    path.write_text(json.dumps(json.loads(path.read_text()) | searches))
    assert call(f"work {copy}").out == f"2 of 12 done; autola compare --resume {copy} goes on\n"
    first, last = call(f"status {copy}").out.splitlines()
    assert first.endswith("12 items: 2 done, 0 running, 0 waiting, 0 set aside, 10 later")
    assert last == f"nobody works on it: autola compare --resume {copy} goes on"
    path.unlink()
    assert f"before its list of work was made; autola compare --resume {copy} goes on" in refused(
        f"status {copy}"
    )


def test_the_list_of_searches_counts_the_trainings_that_follow(call, own_folder, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "do_work", stop)
    assert call(f"{COMMAND} --out run").code == 130
    assert json.loads((own_folder / "run" / "work.json").read_text())["more"] == 10
    assert "2 waiting, 0 set aside, 10 later" in call("status run").out


def test_adding_a_seed_computes_that_seed_alone(call, copy):
    before = {path: path.read_bytes() for path in copy.glob("*-seed*/*") if path.is_file()}
    told = call(f"compare se --resume {copy} --control-seeds 2 0")
    assert told.code == 0
    more = folders(copy) - FOLDERS
    controls = {"plain-seed2", "wider-seed2", "se-wrapped-seed2"}
    assert more == controls | {"se-seed0", "se-seed1", "se-seed2"}
    assert all(path.read_bytes() == content for path, content in before.items())
    larger = comparison(copy)
    assert larger.done == larger.planned == 16
    assert "added after 10 results could be seen" in larger.sentence
    assert [row.name for row in larger.rows] == ["found", "se", "random", "plain", "wider", "se-wrapped"]
    assert "has all that already" in call(f"compare --resume {copy} --control-seeds 2").err


def test_adding_searches_and_cells_keeps_those_that_are_there(call, copy):
    assert call(f"compare --resume {copy} --search-seeds 2 --random-cells 1").code == 0
    more = {"search-seed2", f"found2-seed{2 * OWN_SEEDS}", f"random2-seed{2 * OWN_SEEDS}"}
    assert folders(copy) == FOLDERS | more
    history = json.loads((copy / "added.json").read_text())["additions"]
    assert [(each["search_seeds"], each["random_cells"], each["after"]) for each in history] == [([2], 1, 10)]


def rescored(run: Path, scores: dict[str, float]) -> Comparison:
    """The comparison as if its trainings had reached other scores."""
    for name, score in scores.items():
        for path in run.glob(f"{name}*-seed*/result.json"):
            number = int(path.parent.name.rpartition("seed")[2]) % (OWN_SEEDS - 1)
            result = json.loads(path.read_text()) | {"score": score + 1e-4 * number}
            path.write_text(json.dumps(result))
    (run / "comparison.json").unlink()
    autola.resume(run)
    return comparison(run)


def test_differences_that_are_there_are_claimed(copy):
    told = rescored(copy, {"found": 0.9, "random": 0.5, "plain": 0.6, "wider": 0.95, "se-wrapped": 0.9})
    assert [claim.verdict for claim in told.claims] == ["higher", "higher", "lower", "equivalent"]
    assert "40.00 points more than random cells" in told.sentence
    assert "the difference is shown" in told.sentence
    assert "more than plain; less than wider; the same within 1 point as se-wrapped" in told.sentence


def test_nothing_is_claimed_where_the_primary_contrast_is_not(copy):
    told = rescored(copy, {"found": 0.9, "random": 0.9, "plain": 0.5, "wider": 0.9, "se-wrapped": 0.9})
    assert [claim.verdict for claim in told.claims] == ["equivalent", "not claimed", *["equivalent"] * 2]
    assert "they are equivalent within 1 point" in told.sentence
    assert "Differences to plain would be claimed alone, and are not" in told.sentence


def test_a_full_disk_loses_nothing(call, compared, copy, monkeypatch):
    real = RunDirectory.write_json

    def full(self: RunDirectory, name: str, value: Any) -> None:
        if name == "result.json" and self.path.name == "plain-seed0":
            raise NoSpaceError("no space left on the disk for result.json")
        real(self, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_json", full)
        told = call(f"compare --resume {undone(copy, 'plain-seed0')}")
    assert told.code == 2
    assert told.err.splitlines()[-1].startswith("autola: no space left")
    assert call(f"compare --resume {copy}").code == 0
    assert records(copy) == records(compared)


def test_changed_images_are_refused(refused, copy):
    keys = json.loads((copy / "data.json").read_text())
    keys["mean"] = [0.9]
    (copy / "data.json").write_text(json.dumps(keys))
    (copy / "comparison.json").unlink()
    shutil.rmtree(copy / "plain-seed1")
    assert "mean" in refused(f"compare --resume {copy}")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--seeds 0 0", "seeds: a seed is given twice: 0 0"),
        ("--seeds 1000", "have to be below 1000"),
        ("--primary found nobody", "unknown row 'nobody'"),
        ("--primary found found", "compares found with itself"),
        ("--search-nothing", "name at least one attention"),
        ("--search-nothing se --beside", "there is one row"),
        ("--search-seeds --beside plain", "no random cells stand beside"),
        ("--spread nan 0.1", "spread=(nan, 0.1) is not a number"),
        ("--spread 0 0", "scores that never differ"),
        ("--margin 0", "margin=0.0 is not positive"),
        ("--search.target macs<=1.1x params<=300k", "one limit"),
        ("--search.target macs<=0.5x", "no genotype has macs"),
        ("--search.seed 3", "a comparison has search_seeds"),
        ("--search.threads 7", "give threads"),
        ("--random-cells 5000", "more than 1000"),
        ("--devices 2", "with --jobs"),
        ("--minutes 0", "minutes=0.0 is not positive"),
        ("--recipes modern", "unknown retrain preset 'modern'"),
        ("--backbones cifar_resnet9", "unknown backbone"),
        ("--searcher nobody", "unknown searcher"),
        ("--task nobody", "unknown task"),
        ("--task imagenet --task segmentation", "two tasks"),
        ("--searcher gdas --searcher snas", "two searchers"),
        ("--resume", "argument '--resume'. Expected 1 values"),
        ("--resume nowhere", "is not a run folder"),
    ],
)
def test_bad_input(refused, words, line):
    few = "" if "resume" in words else "--width 8 --data.limit 200"
    assert line in refused(f"compare {words} {few}")


def test_runs_of_other_kinds_are_told_apart(refused, copy, found, trained):
    assert "is a comparison, not a retraining (autola compare --resume)" in refused(
        f"retrain --resume {copy}"
    )
    assert "is a comparison, not a search" in refused(f"search --resume {copy}")
    assert "is a search, not a comparison" in refused(f"compare --resume {found}")
    assert "is a retraining, not a comparison" in refused(f"compare --resume {trained}")
    assert "--width is neither" in refused(f"compare --resume {copy} --width 8")


def test_the_front_is_of_score_and_cost(compared):
    rows = comparison(compared).rows
    best = front(rows, "macs")
    costs, means = [row.cells[0].macs for row in best], [row.mean for row in best]
    assert costs == sorted(costs)
    assert means == sorted(means)
    for row in rows:
        assert any((b.cost("macs") or 0) <= (row.cost("macs") or 0) and b.mean >= row.mean for b in best)


@pytest.mark.slow
def test_side_by_side_ends_the_same_to_the_bit(call, compared, own_folder):
    told = call(f"{COMMAND} --out run --jobs 2")
    assert told.code == 0
    assert "2 side by side" in told.err
    assert records(own_folder / "run") == records(compared)


@pytest.mark.slow
def test_costs_are_measured_once(call, own_folder, monkeypatch):
    words = f"compare se {FEW} --control-seeds 0 1 --search-nothing --beside plain --out run"
    assert call(words).code == 0
    told = comparison(own_folder / "run")
    for row in told.rows:
        assert (row.cost("step_ms") or 0) > 0
        assert (row.cost("latency_ms") or 0) > 0
    assert 0.5 < (told.rows[1].cost("latency_ratio") or 0) < 2
    monkeypatch.setattr("autola.comparing.running.cost_of", lambda *given: pytest.fail("measured again"))
    (own_folder / "run/comparison.json").unlink()
    assert call("compare --resume run").code == 0


def test_the_report_says_what_may_be_said(compared, own_folder, call):
    page = own_folder / "report.html"
    made = call(f"report {compared} -o {page}")
    assert made.code == 0, made.err
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))
    words, told = " ".join(text.split()), comparison(compared)
    assert told.sentence in words
    for row in told.rows:
        assert f"{100 * row.mean:.2f}" in words
        assert f"{row.cost('params'):,.0f}" in words
    assert "The cell of search-seed0" in words
    assert "random cells of the same space, under the same limit: 2 trainings" in words
    assert "wider differ in what they are named after" in words
    assert "autola compare --preset digits" in words


def test_a_comparison_that_has_not_ended_is_reported_as_far_as_it_is(copy, own_folder, call):
    for name in ("comparison.json", "found0-seed0/result.json"):
        (copy / name).unlink()
    made = call(f"report {copy} -o {own_folder / 'report.html'}")
    assert made.code == 0, made.err
    assert "No training has ended yet" in (own_folder / "report.html").read_text(encoding="utf-8")
