"""M: records that were cut, edited or mixed up: one line that names the file, or the right value."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.field.cells import tried
from benchmarks.field.work import Work, last_line
from benchmarks.field.wrong import WrongError, expect

TEXTS = {
    "cut": None,
    "empty": "",
    "null": "null",
    "list": "[]",
    "object": "{}",
    "text": '"text"',
    "deep": "[" * 100000,
    "digits": "9" * 5000,
    "noise": "\x00\xff",
}
"""Name of a damage to what the file holds then."""


def damaged(path: Path) -> Iterator[str]:
    """Damages a file in many ways, one after the other; gives the name of each, and puts it back."""
    whole = path.read_bytes()
    for name, text in TEXTS.items():
        path.write_bytes(whole[: len(whole) // 2] if text is None else text.encode("latin-1"))
        yield name
    if path.suffix == ".json":
        for place, value in changes(json.loads(whole)):
            path.write_text(json.dumps(value))
            yield place
    path.write_bytes(whole)


def changes(value: Any, depth: int = 2) -> Iterator[tuple[str, Any]]:
    """A JSON value with one of its keys missing, or of another type."""
    if not isinstance(value, dict) or not depth:
        return
    for key, part in value.items():
        yield f"without {key}", {name: one for name, one in value.items() if name != key}
        for other in (None, "x", {"x": 1}):
            if type(other) is not type(part):
                yield f"{key} = {other}", {**value, key: other}
        for place, inner in changes(part, depth - 1):
            yield f"{key}.{place}", {**value, key: inner}


def survives(work: Work, path: Path, *words: str) -> int:
    """Runs a command on a run with each damage: exit code 0, or 2 and a line."""
    count = 0
    for name in damaged(path):
        told, count = work.run(*words), count + 1
        line = last_line(told.err)
        if (
            "Traceback" in told.err
            or told.code not in (0, 2)
            or (told.code and not line.startswith("autola: "))
        ):
            raise WrongError(f"{path.name}, {name}: exit code {told.code}, {line[:200]}")
    return count


@tried("M", "each record of a search, in many ways", "inspect")
def _(work: Work, column: str) -> str:
    run = work.finished("search")
    count = sum(
        survives(work, run / name, "inspect", "run", "--no-latency", "--json")
        for name in ("config.json", "data.json", "genotype.json", "shares.json", "result.json")
    )
    return f"right: {count} damages"


@tried("M", "each record of a training, in many ways", "predict")
def _(work: Work, column: str) -> str:
    member = work.member("classification")
    picture = str(next(Path("data").rglob("*.png")))
    count = sum(
        survives(work, Path(member) / name, "predict", member, picture, "--json")
        for name in ("config.json", "data.json", "weights.safetensors")
    )
    return f"right: {count} damages"


@tried("M", "each record of a run that is finished, in many ways", "search", "front")
def _(work: Work, column: str) -> str:
    run = work.finished(column)
    names = ["config.json", "environment.json", "result.json", "table.json", "metrics.jsonl", "front.json"]
    paths = sorted(path for name in names for path in run.rglob(name))
    count = sum(survives(work, path, *work.resume(column)) for path in paths)
    return f"right: {count} damages"


@tried("M", "each record of a run that was stopped, in many ways", "search", "classification")
def _(work: Work, column: str) -> str:
    from evaluators.train import Training
    from searchers.searches.differentiable import DifferentiableSearch

    work.stopped(column)
    shutil.copytree("run", "kept")
    count = 0
    for job in (DifferentiableSearch, Training):  # what goes on would end the run
        job.advance = _stop  # type: ignore[method-assign,assignment]
    names = ("config.json", "environment.json", "data.json", "metrics.jsonl")
    for path in sorted(path for name in names for path in Path("kept").rglob(name)):
        for name in damaged(path):
            shutil.rmtree("run")
            shutil.copytree("kept", "run")
            told, count = work.run(*work.resume(column)), count + 1
            line = last_line(told.err)
            if "Traceback" in told.err or told.code not in (2, 130):
                raise WrongError(f"{path}, {name}: exit code {told.code}, {line[:200]}")
    return f"right: {count} damages"


def _stop(self: Any) -> None:
    raise KeyboardInterrupt


@tried("M", "records of two runs are mixed", "search", "classification")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    shutil.copytree("run", "other")
    line = ""
    for name in ("metrics.jsonl",):
        path = next(Path("run").rglob(name))
        path.write_text('{"epoch": 7, "step": 99, "epoch_seconds": 1.0}\n')
        line = work.refused(*work.resume(column), naming=name)
    return line


@tried("M", "a checkpoint without its step", "classification")
def _(work: Work, column: str) -> str:
    import torch

    work.stopped(column)
    path = next(Path("run").rglob("step-*.pt"))
    state = torch.load(path, weights_only=True)
    state["job"] = {key: value for key, value in state["job"].items() if key != "step"}
    torch.save(state, path)
    return work.refused(*work.resume(column), naming="checkpoint")


@tried("M", "the weights of a finished training are gone or another's", "predict", "export")
def _(work: Work, column: str) -> str:
    member = Path(work.member("classification"))
    words = {
        "predict": ["predict", str(member), str(next(Path("data").rglob("*.png"))), "--json"],
        "export": ["export", str(member), "--program", "x.pt2"],
    }[column]
    (member / "weights.safetensors").unlink()
    line = work.refused(*words, naming="weights")
    expect(not Path("x.pt2").exists(), "something was written")
    return line
