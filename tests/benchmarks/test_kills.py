"""A search that is killed and resumed ends as one that was not, and what differs is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kills import COMMANDS, Options, ending, measure
from evaluators.tasks import TASKS
from outputs.tensorboard import TensorBoardLog


def finished(run: Path, *, seconds: float = 1.0, loss: float = 0.5) -> Path:
    """A run of two epochs."""
    run.mkdir()
    (run / "genotype.json").write_text("{}")
    (run / "result.json").write_text(json.dumps({"score": 0.5, "seconds": seconds}))
    board = TensorBoardLog(run)
    with (run / "metrics.jsonl").open("w") as file:
        for step in (3, 6):
            file.write(json.dumps({"step": step, "loss": loss, "epoch_seconds": seconds}) + "\n")
            board.log(step, {"loss": loss, "epoch_seconds": seconds})
    board.close()
    return run


def test_times_alone_do_not_count(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "first"), finished(tmp_path / "second", seconds=2.0)
    assert ending(first) == ending(second)
    assert ending(first) != ending(finished(tmp_path / "third", loss=0.25))
    (second / "work").mkdir()
    (second / "work/lease-1.json").write_text("{}")
    assert ending(first) == ending(second), "a second attempt is no other ending"
    (second / ".result.json.abcdefgh.json").write_text("{}")
    assert ending(first) != ending(second)


def test_a_step_that_tensorboard_lacks_is_told(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 9, "loss": 0.5, "epoch_seconds": 1.0}) + "\n")
    with pytest.raises(ValueError, match=r"has the steps \[3, 6\], not \[3, 6, 9\]"):
        ending(run)


def test_every_task_is_killed() -> None:
    assert {"search", "front", "blackbox", "retrain"} <= COMMANDS.keys()
    assert set(TASKS) - {"classification"} <= COMMANDS.keys(), "classification is retrain"
    assert {f"search-{task}" for task in set(TASKS) - {"translation"}} <= COMMANDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "segmentation"])
def test_a_command_that_was_killed_ends_with_the_same_bits(command: str) -> None:
    figures = measure(Options(commands=(command,), kills=2))
    assert figures[command]["kills"] == 2
    assert figures[command]["equal"] == figures[command]["runs"]
