"""What people bring: each cell of the table gives the right value or a clear line."""

from __future__ import annotations

import pytest

from benchmarks.field.cells import Cell
from benchmarks.field.table import KINDS, Options, load, measure, show
from benchmarks.field.work import Told, Work
from benchmarks.field.wrong import WrongError, expect
from evaluators.tasks import TASKS


def test_every_kind_has_three_cases() -> None:
    cells = load()
    for kind in KINDS:
        assert len({cell.case for cell in cells if cell.kind == kind}) >= 3, kind


def test_every_task_and_command_is_a_column() -> None:
    columns = {cell.column for cell in load()}
    assert {"search", "front", "retrain", "predict", "inspect", "cost", "export", "list"} <= columns
    assert {task.removeprefix("coco-") for task in TASKS} <= columns


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (Told(0, "", ""), "exit code 0"),
        (Told(2, "found", "autola: x is wrong\n"), "standard output"),
        (Told(1, "", "Traceback (most recent call last):\nKeyError\n"), "traceback"),
        (Told(2, "", "autola: something is wrong\n"), "'x' is not named"),
        (Told(2, "", "a\nb\nc\nd\nautola: x is wrong\n"), "5 lines"),
    ],
)
def test_what_is_no_refusal_is_noticed(told: Told, why: str, tmp_path) -> None:
    with pytest.raises(WrongError, match=why):
        Work(tmp_path, tmp_path).is_refusal(told, "x")


def test_a_refusal_that_leaves_something_is_noticed(tmp_path) -> None:
    (tmp_path / "left").touch()
    with pytest.raises(WrongError, match="not left as it was: left"):
        Work(tmp_path, tmp_path).is_refusal(Told(2, "", "autola: x\n"), "x", {})


def test_a_table_names_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    cell = Cell("L", "a case", "here", lambda work, column: expect(False, "why") or "")
    row = {"kind": cell.kind, "case": cell.case, "column": cell.column, "outcome": "wrong", "told": "why"}
    show({"cells": [row | {"seconds": 1.0}, row | {"column": "there", "outcome": "right", "seconds": 1.0}]})
    shown = capsys.readouterr().out
    assert "here: WRONG: why" in shown
    assert "2 cells: 1 right, 0 refused, 1 wrong; 2 s of CPU time" in shown


def test_the_cells_of_a_kind() -> None:
    cells = measure(Options(only=("N",)))["cells"]
    assert len(cells) == sum(cell.kind == "N" for cell in load())
    assert not [cell for cell in cells if cell["outcome"] == "wrong"]


@pytest.mark.slow
def test_no_cell_is_wrong() -> None:
    cells = measure(Options())["cells"]
    assert not [cell for cell in cells if cell["outcome"] == "wrong"]
