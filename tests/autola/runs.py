"""Small jobs, how to stop them, and what two of them have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autola import drive

if TYPE_CHECKING:
    from tests.autola.conftest import Call

SMALL = "--data.limit 60 --width 8"
SEARCH = f"search digits {SMALL} --num-nodes 2 --searcher.epochs 2 --searcher.batch-size 10"
RETRAIN = f"{SMALL} --train.epochs 2 --train.batch-size 20 --train.warmup-epochs 1 --seeds 0"


def records(run: Path) -> dict[str, Any]:
    """All records of a run but times, the place of the folder, who did what, and TensorBoard's."""
    kept: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_dir() or "tensorboard" in name or "work" in name.split("/") or path.name == ".lock":
            continue
        if path.suffix == ".json" and path.name != "genotype.json":
            kept[name] = _timeless(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            kept[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        else:
            kept[name] = path.read_bytes()
    return kept


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(part)
            for key, part in value.items()
            if not key.endswith("seconds") and key not in ("run", "started")
        }
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def stop_at(monkeypatch: pytest.MonkeyPatch, job: type, step: int, error: BaseException) -> None:
    """Has a job fail once instead of doing a step."""
    real, stopped = job.advance, []

    def advance(self: Any) -> None:
        if self.step == step and not stopped:
            stopped.append(step)
            raise error
        real(self)

    monkeypatch.setattr(job, "advance", advance)


def assert_goes_on(call: Call, search: str, job: type, step: int, codes: tuple[int, ...] = (130,)) -> None:
    """Stopped at a step, and resumed, a search has all records of the one in the folder `whole`.

    Args:
        call: Runs a command.
        search: The command that made `whole`, without the folder.
        job: What does its steps.
        step: Number of the one at which it is stopped, once.
        codes: How it may end then.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive, "CHECKPOINT_SECONDS", -1.0)
        with pytest.MonkeyPatch.context() as once:
            stop_at(once, job, step, KeyboardInterrupt())
            assert call(search, "--out run").code in codes
        assert call("search --resume run").code == 0
    assert records(Path("run")) == records(Path("whole"))
