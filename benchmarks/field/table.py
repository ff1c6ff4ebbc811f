"""Tries every cell in a process of its own, and prints the table."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import benchmarks.field
from benchmarks import kills
from benchmarks.answer import answer
from benchmarks.field.cells import CELLS, Cell
from benchmarks.field.work import Work
from benchmarks.field.wrong import WrongError

KINDS = {
    "A": "a run is held against its record",
    "B": "layouts that are nearly right",
    "C": "nothing is left out in silence",
    "D": "files of labelling tools",
    "E": "label pictures as they are",
    "F": "one way in for pictures",
    "G": "text from other editors",
    "H": "unlucky moments",
    "I": "TensorBoard tells what metrics.jsonl tells",
    "J": "settings that make sense only together",
    "K": "attention in the hands of torch's own tools",
    "L": "keypoints to the pixel",
    "M": "records are read by one careful reader",
    "N": "numbers that are not numbers",
    "O": "surroundings",
    "P": "parallel text as people have it",
}
"""Letter of a kind to what it is about."""

MODULES = (
    *("changed_data", "layouts", "left_out", "labelling_files", "label_pictures", "pictures", "texts"),
    *("moments", "settings", "models", "poses", "damaged_records", "surroundings"),
    "sentences",
)
"""Where the cells of the kinds are, in this package."""

SECONDS = 240
"""Time after which a cell that gives no answer is wrong."""

FORKING = get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to try."""

    only: tuple[str, ...] = ()
    """Letters of the kinds to try; all if left out."""
    jobs: int = 2
    """Cells at a time, each in a process of its own with one thread."""
    json: bool = False
    """Prints one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """Tries the cells: kind, case, column, outcome (right, refused, wrong, skipped), told, CPU seconds."""
    cells = load()
    FORKING.set_forkserver_preload([*kills.LOADED, "benchmarks.field.table"])
    chosen = [number for number, cell in enumerate(cells) if not options.only or cell.kind in options.only]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        shared = Path(name) / "shared"
        shared.mkdir()

        def one(number: int) -> dict[str, Any]:
            return _tried(number, cells[number], Path(name) / str(number), shared)

        return {"cells": list(pool.map(one, chosen))}


def load() -> list[Cell]:
    """All cells, in the order of their kinds."""
    for module in MODULES:
        importlib.import_module(f"benchmarks.field.{module}")
    return sorted(CELLS, key=lambda cell: cell.kind)


def _tried(number: int, cell: Cell, folder: Path, shared: Path) -> dict[str, Any]:
    (folder / "work").mkdir(parents=True)
    process = FORKING.Process(target=_act, args=(number, str(folder), str(shared)))
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    outcome, told, seconds = "wrong", f"no answer (exit code {process.exitcode})", float(SECONDS)
    if (file := folder / "told.json").exists():
        outcome, told, seconds = json.loads(file.read_text())
    row = {"kind": cell.kind, "case": cell.case, "column": cell.column, "outcome": outcome, "told": told}
    if outcome == "wrong":
        print(f"WRONG {cell.kind} {cell.case}, {cell.column}: {told}", file=sys.stderr, flush=True)
    return row | {"seconds": seconds}


def _act(number: int, folder: str, shared: str) -> None:
    """Tries a cell in this process, and writes what came of it."""
    import torch

    torch.set_num_threads(1)
    cell, work = load()[number], Path(folder) / "work"
    os.environ["AUTOLA_CACHE"] = f"{folder}/cache"
    os.chdir(work)
    output = os.open(f"{folder}/output", os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    try:
        told = cell.act(Work(work, Path(shared)), cell.column)
        outcome = next((word for word in ("refused", "skipped") if told.startswith(word)), "right")
    except WrongError as wrong:
        outcome, told = "wrong", str(wrong)
    except BaseException as error:
        outcome, told = "wrong", f"{type(error).__name__}: {error}"
    os.chdir("/")
    used = os.times()
    seconds = round(used.user + used.system + used.children_user + used.children_system, 1)
    Path(folder, "told.json").write_text(json.dumps([outcome, told, seconds]))


def show(figures: dict[str, Any]) -> None:
    """Prints the table for a person: a line a case, its columns below it where they differ."""
    cells = figures["cells"]
    for kind, of_kind in groupby(cells, key=lambda cell: cell["kind"]):
        print(f"{kind}  {KINDS[kind]}")
        for case, row in groupby(of_kind, key=lambda cell: cell["case"]):
            print(f"   {case}")
            for told, alike in groupby(row, key=lambda cell: (cell["outcome"], cell["told"])):
                columns = ", ".join(cell["column"] for cell in alike)
                text = f"WRONG: {told[1]}" if told[0] == "wrong" else told[1]
                print(f"      {columns}: {text}")
    counts = {name: sum(cell["outcome"] == name for cell in cells) for name in ("right", "refused", "wrong")}
    skipped = len(cells) - sum(counts.values())
    seconds = sum(cell["seconds"] for cell in cells)
    print(
        f"{len(cells)} cells: {counts['right']} right, {counts['refused']} refused, {counts['wrong']} wrong"
        + (f", {skipped} not tried here" if skipped else "")
        + f"; {seconds:.0f} s of CPU time"
    )


def main() -> None:
    """Prints the table."""
    answer(Options, benchmarks.field.__doc__, measure, show)
