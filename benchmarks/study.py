"""The studies: does what a search finds help, beside controls of its cost? Each is one or more comparisons.

`benchmarks.studies` says what is compared, `benchmarks.study_places` in which networks modules are placed.

    python -m benchmarks.study cells --root FOLDER --minutes 60 --jobs 2
    python -m benchmarks.study cells --table

What a search or training ends with is a small file, which is copied to `--out` within seconds of its end.
With these files alone the study goes on, here or on another machine, and does nothing again that has ended:
it may run for an hour a day, and may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any, Literal

import tyro

from autola.advising.conclude import ADVICE
from autola.comparing.config import CompareConfig
from autola.comparing.running import resume_comparison, run_comparison
from autola.comparing.showing import show
from autola.executors import executor_of
from benchmarks.across import lines
from benchmarks.publishing import ROOT, moved, publish
from benchmarks.studies import across_of, comparisons_of
from benchmarks.study_places import SUBJECTS, run_places
from foundation.config import parse_json
from foundation.errors import InputError, listed
from foundation.files import write_text
from outputs.comparison import COMPARISON, Comparison
from outputs.records import CONFIG, GENOTYPE, RESULT
from outputs.run_directory import RunDirectory

Study = Literal["cells", "spread", "remedies", "groups", "transfer", "finetune", "translation", "places"]

OF_ALL = ("*.json", "*.csv", "*.png")
OF_EACH = (RESULT, GENOTYPE)
"""Files that are kept: of a comparison, and of each of its searches and trainings."""

SECONDS = 10.0
"""Time between two looks at what has ended."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    study: Annotated[tyro.conf.Positional[Study], tyro.conf.arg(metavar="STUDY")] = "cells"
    """cells, spread, remedies, groups, transfer, finetune, translation or places."""
    root: Path | None = None
    """Folder of the data: CIFAR-10 as folders of images; of finetune train and val, a folder a class; of
    translation Multi30k's texts."""
    out: Path | None = None
    """Folder of what is kept; outputs/published/study-STUDY if left out."""
    runs: Path = Path("outputs/runs")
    """Folder of the runs themselves, which may be deleted between two sittings."""
    minutes: float = 60.0
    """No search or training begins after so many."""
    on: str = "here"
    """Where searches and trainings run; see `autola compare`."""
    jobs: int | None = None
    """Searches or trainings side by side here, short for --on here:JOBS."""
    only: tuple[str, ...] = ()
    """Comparisons of the study, or of places networks, by name: nothing else is run; all if left out."""
    epochs: int | None = None
    """Epochs of a training; the preset's if left out. More tell smaller differences apart."""
    smoke: bool = False
    """The whole way on few images."""
    table: bool = False
    """Print what is there, and run nothing."""


def keep(run: Path, kept: Path) -> None:
    """Copies what has ended to the folder that is published; the place of the images is left out."""
    if not (run / CONFIG).is_file():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for pattern in OF_ALL:
        for file in run.glob(pattern):
            if not file.name.startswith("."):
                publish(file, kept / file.name)
    for result in run.glob(f"*/{RESULT}"):
        for name in OF_EACH:
            file = result.parent / name
            if file.is_file() and (name == RESULT or file.parent.name.startswith("search-")):
                (kept / file.parent.name).mkdir(exist_ok=True)
                publish(file, kept / file.parent.name / name)


def bring_back(kept: Path, run: Path, root: Path) -> None:
    """Makes a run of what was kept, where it is not there, or adds to it what ended elsewhere."""
    for file in sorted(kept.rglob("*")):
        there = run / file.relative_to(kept)
        if file.is_dir() or there.exists():
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, there)
    config = moved(RunDirectory(run).json(CONFIG), ROOT, str(root.absolute()))
    write_text(run / CONFIG, json.dumps(config, indent=2) + "\n")


@contextlib.contextmanager
def kept_up(run: Path, kept: Path) -> Iterator[None]:
    """Keeps what ends in a run, as it ends, and at the end whatever happens."""
    over = Event()

    def look() -> None:
        while not over.wait(SECONDS):
            keep(run, kept)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        keep(run, kept)


def comparisons(options: Options) -> dict[str, CompareConfig]:
    """The comparisons of a study by name; of places none, which are known after its searches."""
    if options.study == "places":
        return {}
    found = comparisons_of(options.study, str(options.root or ROOT), options.epochs)
    return {name: config.smoke() for name, config in found.items()} if options.smoke else found


def run_study(options: Options) -> None:
    """Runs the comparisons of a study until the time is over."""
    if options.root is None:
        raise InputError("give the folder of the data: --root FOLDER")
    until, where = time.monotonic() + 60 * options.minutes, executor_of(options.on, options.jobs)
    if options.study == "places":
        subjects = _chosen(options, SUBJECTS)
        run_places(subjects, options.root, options.runs, folder(options), until, where, smoke=options.smoke)
        return
    for name, config in _chosen(options, comparisons(options)).items():
        left = (until - time.monotonic()) / 60
        if left <= 0:
            return
        run, kept = options.runs / f"study-{name}", folder(options) / name
        if (kept / CONFIG).is_file():
            bring_back(kept, run, options.root)
        with kept_up(run, kept):
            if run.exists():
                told = resume_comparison(RunDirectory.open(run), on=where, minutes=left)
            else:
                told = run_comparison(config, run, on=where, minutes=left)
        show(told)


def _chosen(options: Options, named: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are to be run."""
    if unknown := [name for name in options.only if name not in named]:
        raise InputError(f"{options.study} has no {listed(unknown)}; it has {listed(list(named))}")
    return {name: each for name, each in named.items() if not options.only or name in options.only}


def folder(options: Options, study: str | None = None) -> Path:
    """Where the results of a study are kept: of the one that is asked for if left out."""
    own = study in (None, options.study)
    return options.out if own and options.out else Path(f"outputs/published/study-{study or options.study}")


def table(options: Options) -> None:
    """Prints what is there of a study."""
    if options.study == "places":
        for path in sorted(folder(options).glob(f"*/{ADVICE}")):
            print(f"\n{path.parent.name}\n{path.read_text(encoding='utf-8')}")
        return
    for name in comparisons(options):
        path = folder(options) / name / COMPARISON
        if path.is_file():
            print(f"\n{name}")
            show(parse_json(Comparison, path.read_text(encoding="utf-8"), str(path)))
    if across := lines(across_of(options.study), partial(folder, options)):
        print("\n" + "\n".join(across))


def main() -> None:
    """Runs a study, or prints what is there."""
    options = tyro.cli(Options, description=__doc__)
    if not math.isfinite(options.minutes) or options.minutes <= 0:
        raise SystemExit("give minutes above 0")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.table:
            table(options)
        else:
            run_study(options)
    except InputError as error:
        raise SystemExit(f"study: {error}") from None
    except KeyboardInterrupt:
        sys.stderr.write("study: stopped; the same command goes on\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
