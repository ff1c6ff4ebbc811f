"""Holds `autola estimate` against what runs really take: time, memory and disk, one run after the other.

    python -m benchmarks.estimates DATA --out outputs/published/estimates.json

DATA holds coco, imagenette (train and val, a folder a class) and camvid (train, trainannot ...); a run
whose data is not there is left out. An estimate, the run, and another estimate follow one another, each a
process of its own; what is compared is the mean of the two estimates. Time is that of the processor, with one
thread: what a clock on the wall shows depends on who else uses the machine; it is given beside it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import torch
import tyro

from autola.memory import own_memory

RUNS = {
    "darts": ("digits", "search digits --searcher.epochs 8"),
    "random": ("digits", "search digits --searcher random --trials 8 --searcher.epochs 4"),
    "shared weights": ("digits", "search digits --searcher random_ws --trials 20 --searcher.epochs 6"),
    "classification": ("digits", "retrain none se hoga --preset digits --train.epochs 10 --seeds 0 1"),
    "imagenet": (
        "imagenette",
        "retrain none se --preset imagenet --data.root imagenette --data.limit 400 --backbone resnet18 "
        "--image-size 96 --resize 112 --train.epochs 2 --train.batch-size 32 --train.warmup-epochs 0 "
        "--workers 0",
    ),
    "detection": (
        "coco",
        "retrain se --preset coco-faster-rcnn --weights None --detector.name retinanet "
        "--detector.backbone resnet18 --detector.min-sizes 160 --detector.max-size 320 "
        "--detector.trainable-stages 5 --data.root coco "
        "--data.limit 40 --train.epochs 2 --train.batch-size 4 --workers 0",
    ),
    "segmentation": (
        "camvid",
        "retrain se --preset camvid --weights None --data.root camvid --data.image-size 120 160 --crop 97 "
        "--train.epochs 3 --workers 0",
    ),
}
"""Name to the data that a run reads, and its command line."""


ASKS = """
import sys, time
from autola import pace
pace.TIMER = pace.since_start = time.process_time
from autola.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""An estimate in seconds of the processor."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run, and where its data are."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Folder that holds the data sets."""
    runs: tuple[str, ...] = tuple(RUNS)
    """Names of runs."""
    seconds: float = 10.0
    """Seconds of steps that an estimate times."""
    out: Path | None = None
    """JSON file to write, after every run; what it has of other runs stays."""


def measure(options: Options) -> dict[str, Any]:
    """Estimate, truth and their ratio, for each of the runs."""
    known = json.loads(options.out.read_text())["runs"] if options.out and options.out.is_file() else {}
    for name in options.runs:
        data, words = RUNS[name]
        if data != "digits" and not (options.data / data).is_dir():
            print(f"{name}: no {data} in {options.data}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            if data != "digits":
                (here / data).symlink_to((options.data / data).resolve())
            known[name] = {"command": f"autola {words}", **_compared(words.split(), here, options.seconds)}
        print(f"{name}: {known[name]}", file=sys.stderr, flush=True)
        if options.out:
            options.out.write_text(json.dumps(_table(known), indent=2) + "\n")
    return _table(known)


def _table(runs: dict[str, Any]) -> dict[str, Any]:
    surroundings = {
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())),
    }
    return {"surroundings": surroundings, "runs": runs}


def _compared(words: list[str], folder: Path, seconds: float) -> dict[str, Any]:
    autola, environment = [sys.executable, "-m", "autola"], {**os.environ, "PYTHONPATH": str(Path.cwd())}
    asking = [sys.executable, "-c", ASKS, "estimate", *words, "--seconds", str(seconds), "--json"]
    begin = time.monotonic()
    before = _answer(asking, folder, environment)
    took = time.monotonic() - begin
    truth = _run([*autola, *words, "--out", "run"], folder, environment)
    after = _answer(asking, folder, environment)
    estimate = {key: (before[key] + after[key]) / 2 for key in ("seconds", "memory_bytes", "disk_bytes")}
    pairs = {
        "seconds": (estimate["seconds"], truth["cpu_seconds"]),
        "memory_bytes": (estimate["memory_bytes"], truth["memory_bytes"]),
        "disk_bytes": (estimate["disk_bytes"], truth["disk_bytes"]),
    }
    found: dict[str, Any] = {
        key: {"estimate": round(guess, 1), "true": round(real, 1), "ratio": round(guess / real, 3)}
        for key, (guess, real) in pairs.items()
    }
    found["seconds"]["estimates"] = [round(each["seconds"], 1) for each in (before, after)]
    load = round(os.getloadavg()[1], 1)
    return {
        **found,
        "wall_seconds": round(truth["seconds"], 1),
        "estimating_seconds": round(took, 1),
        "load": load,
    }


def _answer(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    options: Any = {"cwd": folder, "env": environment, "text": True}
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, **options).stdout)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, float]:
    begin, disk, started = time.monotonic(), 0, 0
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    watched = psutil.Process(process.pid)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        disk = max(disk, _size(folder / "run"))
        try:
            started = max(started, own_memory(watched.children(recursive=True)))
        except psutil.Error:
            continue  # it ends at this moment
        time.sleep(0.1)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": time.monotonic() - begin,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory_bytes": usage.ru_maxrss * 1024 + started,
        "disk_bytes": max(disk, _size(folder / "run")),
    }


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # it was renamed or removed at this moment
    return total


def main() -> None:
    """Prints the figures as JSON."""
    print(json.dumps(measure(tyro.cli(Options, description=__doc__)), indent=2))


if __name__ == "__main__":
    main()
