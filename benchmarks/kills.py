"""Kills commands at random moments and resumes them, and compares what they end with.

    python -m benchmarks.kills --kills 20 --commands search retrain front

Each command runs once undisturbed. Then it is started again, killed (`kill -9`) after a random share of that
time and resumed, until it ends; and so on until it was killed often enough. Equal means: genotype, weights,
table and result to the bit, and metrics but their times.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.answer import answer

SMALL = ["--data.limit", "120", "--width", "8", "--device", "cpu", "--threads", "1"]
COMMANDS = {
    "search": ["search", "digits", *SMALL, "--searcher.epochs", "6", "--searcher.batch-size", "20"],
    "retrain": ["retrain", "none", "se", *SMALL, "--train.epochs", "6", "--train.batch-size", "20"],
    "front": [
        *("search", "digits", *SMALL, "--searcher", "random", "--searcher.trials", "2"),
        *("--searcher.epochs", "2", "--searcher.batch-size", "20", "--target", "macs<=2x", "macs<=3x"),
    ],
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to kill, and how often."""

    commands: tuple[str, ...] = tuple(COMMANDS)
    """Commands to kill: search, retrain, front."""
    kills: int = 20
    """Kills a command."""
    seed: int = 0
    """Seed of the moments."""
    json: bool = False
    """Prints one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """For each command: kills, runs that were started, and how many of them ended as the undisturbed one."""
    with tempfile.TemporaryDirectory() as folder:
        moments = random.Random(options.seed)
        return {
            name: _killed(COMMANDS[name], options.kills, moments, Path(folder) / name)
            for name in options.commands
        }


def _killed(command: list[str], kills: int, moments: random.Random, folder: Path) -> dict[str, int]:
    folder.mkdir()
    began = time.monotonic()
    assert _run([*command, "--out", str(folder / "undisturbed")], None)
    seconds = time.monotonic() - began
    wanted = ending(folder / "undisturbed")
    done = runs = equal = 0
    while done < kills:
        run = folder / f"run-{runs}"
        ended = False
        while not ended:
            known = (run / "config.json").exists()
            words = [command[0], "--resume", str(run)] if known else [*command, "--out", str(run)]
            limit = moments.uniform(0.2, 1.0) * seconds if done < kills else None
            ended = _run(words, limit)
            done += not ended
        runs += 1
        litter = [path for path in folder.iterdir() if path.name.startswith(".")]
        equal += ending(run) == wanted and not litter
    return {"kills": done, "runs": runs, "equal": equal}


def _run(words: list[str], seconds: float | None) -> bool:
    """Runs a command to its end, or kills it after some seconds; whether it ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "autola", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, told = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    if process.returncode:
        raise RuntimeError(f"autola {' '.join(words)} ended with {process.returncode}: {told.decode()}")
    return True


def ending(run: Path) -> dict[str, Any]:
    """What a run ends with, by file: bytes, and JSON without times and folders."""
    kept = dict[str, Any]()
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.name in ("genotype.json", "weights.safetensors", "shares.json"):
            kept[name] = path.read_bytes()
        elif path.name in ("result.json", "table.json", "front.json"):
            kept[name] = _timeless(json.loads(path.read_text()))
        elif path.name == "metrics.jsonl":
            kept[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    return kept


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(part)
            for key, part in value.items()
            if not key.endswith("seconds") and key != "run"
        }
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for name, row in figures.items():
        print(f"{name}: {row['kills']} kills in {row['runs']} runs, {row['equal']} of them equal")


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
