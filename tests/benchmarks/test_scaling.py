"""The simulation of many trainings on many workers: what is known without it, it gives back."""

import json
import math
from random import Random

import pytest

from benchmarks.scaling import Options, durations, main, simulate

CALM = {"death_hours": math.inf, "slow": 0.0, "start_seconds": 2.0, "item_seconds": 1.0}


def outcome(seconds, workers, **options):
    return simulate(list(seconds), workers, Options(**options), Random(0))


@pytest.mark.parametrize(("workers", "turns"), [(1, 12), (5, 3), (12, 1), (100, 1)])
def test_equal_items_take_as_many_turns_as_workers_need(workers, turns):
    found = outcome([30.0] * 12, workers, **CALM)
    assert found.makespan == pytest.approx(2 + turns * 31)
    assert found.bound == max(30, 360 / workers)
    assert (found.wasted, found.deaths) == (0, 0)


def test_the_longest_item_first_ends_sooner():
    seconds = [10.0] * 9 + [90.0]
    assert outcome(seconds, 2, **CALM).makespan > outcome(sorted(seconds, reverse=True), 2, **CALM).makespan


def test_slow_workers_take_longer_and_no_end_is_before_the_bound():
    rng = Random(1)
    seconds = [rng.uniform(10, 1000) for _ in range(200)]
    slow = outcome(seconds, 10, **{**CALM, "slow": 1.0, "slowness": 3.0})
    assert slow.makespan == pytest.approx(
        3 * (outcome(seconds, 10, **{**CALM, "item_seconds": 0.0}).makespan - 2) + 2, rel=0.02
    )
    for workers in (1, 7, 50):
        found = outcome(seconds, workers, death_hours=0.1)
        assert found.deaths > 0
        assert found.makespan > found.bound


@pytest.mark.parametrize("checkpoints", [1, 10, 1000])
def test_what_the_dead_did_since_their_checkpoints_is_done_again(checkpoints):
    # One worker: all that is done is done by it, one thing after the other.
    options = {**CALM, "death_hours": 0.05, "checkpoints": checkpoints, "item_seconds": 0.0}
    found = outcome([100.0] * 20, 1, **options, back_minutes=1.0, lease_seconds=10.0)
    again = found.wasted * 2000 / (1 - found.wasted)
    assert found.deaths > 5
    assert found.makespan == pytest.approx(2 + 2000 + again + found.deaths * (60 + 2))
    assert again <= found.deaths * 100 / checkpoints


def test_durations_are_those_of_a_run(tmp_path):
    for number, seconds in enumerate((5.0, 7.0)):
        (tmp_path / f"none-seed{number}").mkdir()
        (tmp_path / f"none-seed{number}" / "result.json").write_text(json.dumps({"seconds": seconds}))
    assert durations(Options(run=tmp_path), Random(0)) == [5.0, 7.0]
    many = durations(Options(run=tmp_path, items=50), Random(0))
    assert (len(many), set(many)) == (50, {5.0, 7.0})


def test_figures_are_kept(tmp_path, monkeypatch, capsys):
    file = tmp_path / "scaling.json"
    monkeypatch.setattr("sys.argv", ["scaling", "--items", "20", "--workers", "1", "4", "--json", str(file)])
    main()
    kept = json.loads(file.read_text())
    assert [each["workers"] for each in kept["outcomes"]] == [1, 4]
    assert "20 items" in capsys.readouterr().out
