"""What a list of work costs: many items in one folder, and trainings side by side against one after another.

    python -m benchmarks.work_list items --items 10000
    python -m benchmarks.work_list jobs --trainings 8 --jobs 2

`items` makes a list of that many items and has one driver look at it, take every item up, end it, show its
status and read its results, without any training: CPU seconds of each, memory, and the time of an item.
`jobs` trains digits in one process and by workers, in turn, and prints the ratio of the wall times, which is
worth something on an idle machine alone, and the CPU seconds of the command and its workers. `bound` is
what the ratio would be if cores were as fast two at a time as one: the seconds of the command, and of the
workers side by side, over those of one after another.
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
from typing import Annotated, Any, Literal

import tyro

from autola.working.items import Item, Listed, write_item, write_list
from autola.working.progress import status_of
from autola.working.worklist import WorkList
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


def side_by_side(options: Options) -> dict[str, Any]:
    """Wall and CPU time by workers over those of one after another."""
    ratios, ways = list[float](), dict[str, list[dict[str, float]]]({"alone": [], "side_by_side": []})
    for _ in range(options.repeats):
        for way, jobs in (("alone", 1), ("side_by_side", options.jobs)):
            ways[way].append(_retrained(options, jobs))
            print(f"{jobs} at a time: {ways[way][-1]}", file=sys.stderr)
        alone, beside = ways["alone"][-1], ways["side_by_side"][-1]
        ratios.append(beside["seconds"] / alone["seconds"])
    bounds = [
        (beside["driver_cpu_seconds"] + beside["workers_cpu_seconds"] / options.jobs) / sum_of(alone)
        for alone, beside in zip(ways["alone"], ways["side_by_side"])
    ]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "bound": round(statistics.median(bounds), 3),
        **ways,
    }


def sum_of(figures: dict[str, float]) -> float:
    """CPU seconds of a command and its workers."""
    return figures["driver_cpu_seconds"] + figures["workers_cpu_seconds"]


RETRAIN = """
import json, resource, sys
from autola.cli import main
code = main(sys.argv[1:])
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([each.ru_utime + each.ru_stime for each in spent]))
sys.exit(code)
"""


def _retrained(options: Options, jobs: int) -> dict[str, float]:
    seeds = [str(seed) for seed in range(options.trainings)]
    epochs = [] if options.epochs is None else ["--train.epochs", str(options.epochs)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["retrain", "none", "--preset", "digits", "--threads", "1", *epochs, "--seeds", *seeds]
        command = [sys.executable, "-c", RETRAIN, *words, "--jobs", str(jobs), "--out", f"{folder}/run"]
        began, known = time.perf_counter(), os.environ | {"OMP_NUM_THREADS": "1"}
        told = subprocess.run(command, check=True, capture_output=True, env=known, text=True)
        seconds = time.perf_counter() - began
    driver, workers = json.loads(told.stdout.splitlines()[-1])
    return {
        "seconds": round(seconds, 2),
        "driver_cpu_seconds": round(driver, 2),
        "workers_cpu_seconds": round(workers, 2),
    }


def main() -> None:
    """Measures, and prints JSON."""
    options = tyro.cli(Options, description=__doc__)
    figures = many_items(options.items) if options.what == "items" else side_by_side(options)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
