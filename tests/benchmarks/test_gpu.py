"""What waits for a GPU runs here, small; what has ended is not measured again."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import gpu


def test_all_parts_run_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = gpu.Options(folder=tmp_path, tiny=True)
    found = gpu.measure(options)
    assert list(found) == list(gpu.PARTS)
    for part in found.values():
        assert part["tiny"]
        values = list(part["figures"].values())
        assert values
        assert not [value for value in values if isinstance(value, str)], part["figures"]
    assert gpu.measure(gpu.Options(folder=tmp_path, tiny=True, minutes=0)) == found
    gpu.show(found)
    assert "these figures say nothing" in capsys.readouterr().out


def test_nothing_begins_when_the_minutes_are_over(tmp_path: Path) -> None:
    assert gpu.measure(gpu.Options(folder=tmp_path, tiny=True, minutes=0)) == {}
    work = gpu.Work(gpu.Options(tiny=True), gpu.torch.device("cpu"), until=0)
    assert {*gpu.train_step(work).values()} == {"not measured: the minutes were over"}


def test_a_way_that_fails_costs_no_other(tmp_path: Path) -> None:
    work = gpu.Work(gpu.Options(tiny=True), gpu.torch.device("cpu"), until=float("inf"))

    def fail() -> None:
        raise RuntimeError("no such kernel")

    found = work.cases({"one": fail, "two": lambda: 2.0})
    assert found == {"one": "failed: RuntimeError: no such kernel", "two": 2.0}


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no part train; there are search_step"):
        gpu.measure(gpu.Options(folder=tmp_path, parts=("train",)))
