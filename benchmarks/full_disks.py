"""Fills the disk at many points of every command, makes room, resumes, and compares what they end with.

    python -m benchmarks.full_disks --sizes 12 --commands search retrain

Needs the right to mount. Each command writes into a tmpfs of its own, of growing sizes up to what it needs:
it has to end with exit code 2 and one line that names a file, and, once the tmpfs is larger, to go on to the
same end as on a disk with room, as `benchmarks.kills` compares them, with nothing left over.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import kills
from benchmarks.answer import answer
from benchmarks.small_data import write_classes, write_coco, write_scenes

SMALLEST, ROOM = 4, 1 << 20
"""kB of the smallest tmpfs, and of one with room."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run, and on how many disks."""

    commands: tuple[str, ...] = tuple(name for name in kills.COMMANDS if name != "nni")
    """Commands, as of `benchmarks.kills`; NNI's trials keep records in other places too."""
    sizes: int = 12
    """Disks a command, each larger than the one before by the same factor."""
    json: bool = False
    """Prints one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """For each command: disks that were too small, and of how many of these all was as it should be."""
    kills.FORKING.set_forkserver_preload(kills.LOADED)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        write_classes(data / "classes")
        write_coco(data / "coco")
        write_scenes(data / "scenes")
        for command in options.commands:
            figures[command] = _filled(kills.COMMANDS[command], options.sizes, folder / command, data)
            print(f"{command}: {figures[command]}", file=sys.stderr, flush=True)
    return figures


def _filled(command: list[str], sizes: int, folder: Path, data: Path) -> dict[str, int]:
    folder.mkdir()
    whole = folder / "whole"
    assert not kills.run([*command, "--out", str(whole)], data)[0]
    wanted = kills.ending(whole)
    needed = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file()) / 1024
    full = right = 0
    for number in range(sizes):
        size = round(SMALLEST * (needed / SMALLEST) ** (number / sizes))
        with _disk(folder / f"disk-{number}", size) as disk:
            out = disk / "run"
            code, told = kills.run([*command, "--out", str(out)], data)
            if not code:
                continue
            full += 1
            said = [line for line in told.splitlines() if line.startswith("autola: ")]
            clear = code == 2 and len(said) == 1 and "no space left" in said[0] and "Traceback" not in told
            subprocess.run(["mount", "-o", f"remount,size={ROOM}k", disk], check=True)
            known = (out / "config.json").exists()
            again = [command[0], "--resume", str(out)] if known else [*command, "--out", str(out)]
            ended, told = kills.run(again, data)
            litter = [path.name for path in disk.iterdir() if path.name.startswith(".")]
            others = [told] if ended else [*litter, *kills.differing(wanted, kills.ending(out))]
            right += clear and not others
            if others or not clear:
                print(f"{size} kB: {said or told}; then {ended}, {', '.join(others)}", file=sys.stderr)
    return {"full": full, "right": right}


@contextmanager
def _disk(path: Path, size: int) -> Iterator[Path]:
    """A tmpfs of some kB at a path."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for name, row in figures.items():
        print(
            f"{name}: {row['full']} disks were full, {row['right']} runs said so and went on to the same end"
        )


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
