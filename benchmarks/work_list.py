"""What a list of work costs: many items in one folder, and trainings side by side against one after another.

    python -m benchmarks.work_list items --items 10000
    python -m benchmarks.work_list jobs --trainings 8 --jobs 2

`items` makes a list of that many items and has one driver look at it, take every item up, end it, show its
status and read its results, without any training: CPU seconds of each, memory, and the time of an item.
`jobs` trains digits in this process and by workers, in turn, and prints the ratio of the wall times.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from autola.working.progress import status_of
from autola.working.worklist import Item, Listed, WorkList, write_item, write_list
from outputs.records import RESULT, Records


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    what: Annotated[tyro.conf.Positional[Literal["items", "jobs"]], tyro.conf.arg(metavar="WHAT")]
    """items or jobs."""
    items: int = 10_000
    """Items of the list."""
    trainings: int = 8
    """Trainings of digits."""
    jobs: int = 2
    """Workers."""
    repeats: int = 3
    """Times that both ways are measured, in turn."""
    epochs: int | None = None
    """Epochs of a training; the preset's if left out."""


@contextmanager
def spent(figures: dict[str, float], name: str) -> Iterator[None]:
    """Keeps the CPU seconds of this process, and the wall seconds, that a block takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    figures[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 2)
    figures[f"{name}_seconds"] = round(time.perf_counter() - wall, 2)


def many_items(number: int) -> dict[str, float]:
    """Costs of a list of so many items."""
    figures = dict[str, float]()
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name)
        names = tuple(f"none-seed{seed}" for seed in range(number))
        with spent(figures, "make"):
            for each in names:
                (whole / each).mkdir()
                write_item(whole / each, Item())
            usual = {"command": "retrain", "epochs": 1, "versions": {}, "processor": ""}
            write_list(whole, Listed(items=names, **usual))
        with spent(figures, "list"):
            worklist = WorkList(whole)
            assert sum(seen.state == "waiting" for seen in worklist.all()) == number
        with spent(figures, "work"):
            while (lease := worklist.take()) is not None:
                (lease.folder / RESULT).write_text('{"score": 0.5, "seconds": 1.0}')
                lease.end("done")
        with spent(figures, "status"):
            assert status_of(WorkList(whole)).done == number
        with spent(figures, "table"):
            scores = [Records(whole / each).numbers(RESULT, "score")["score"] for each in names]
        assert len(scores) == number
    figures["cpu_seconds"] = round(sum(v for k, v in figures.items() if k.endswith("_cpu_seconds")), 2)
    figures["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    figures["milliseconds_an_item"] = round(1e3 * figures["work_seconds"] / number, 2)
    return figures


def side_by_side(options: Options) -> dict[str, float | list[float]]:
    """Wall time by workers over that of one after another."""
    ratios, alone, beside = list[float](), list[float](), list[float]()
    for _ in range(options.repeats):
        alone.append(_retrained(options, 1))
        beside.append(_retrained(options, options.jobs))
        ratios.append(beside[-1] / alone[-1])
        print(f"{alone[-1]:.1f} s one after another, {beside[-1]:.1f} s by {options.jobs}", file=sys.stderr)
    return {"ratio": round(statistics.median(ratios), 3), "alone": alone, "side_by_side": beside}


def _retrained(options: Options, jobs: int) -> float:
    seeds = [str(seed) for seed in range(options.trainings)]
    epochs = [] if options.epochs is None else ["--train.epochs", str(options.epochs)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["retrain", "none", "--preset", "digits", "--threads", "1", *epochs, "--seeds", *seeds]
        command = [sys.executable, "-m", "autola", *words, "--jobs", str(jobs), "--out", f"{folder}/run"]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return round(time.perf_counter() - began, 2)


def main() -> None:
    """Measures, and prints JSON."""
    options = tyro.cli(Options, description=__doc__)
    figures = many_items(options.items) if options.what == "items" else side_by_side(options)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
