"""Kills commands at random moments and resumes them, and compares what they end with.

    python -m benchmarks.kills --kills 20 --commands search retrain front

Each command runs once undisturbed. Then it is started again, killed (`kill -9`) at a random moment between
the one at which that had its folder and its end, and resumed, until it ends; and so on until it was killed
often enough. Equal means: genotype or placement, weights, table and result to the bit, metrics but their
times, TensorBoard's points those of the metrics, and no file more or less, but for who tried when. Commands
are forked from a process that has loaded the packages, so that most kills fall into their work and not into
imports.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from autola.working.attempt import WORK
from benchmarks.answer import answer
from benchmarks.small_data import PART, write_classes, write_coco, write_scenes, write_sentences

CPU = ["--device", "cpu", "--threads", "1"]
PLACES = [
    *("--space", "places", "--primitives", "none", "se", "eca", "--searcher.epochs", "4"),
    *("--searcher.batch-size", "2", "--target", "params<=1.2x", *CPU),
]
SMALL = ["--data.limit", "60", "--width", "8", *CPU]
SEARCH = ["search", "digits", *SMALL, "--num-nodes", "2", "--searcher.batch-size", "10"]
LOADING = ["--weights", "None", "--workers", "0"]
PICTURES = ["--backbone", "resnet18", *LOADING, *CPU]
PARTS = ["--data.train", PART, "--data.test", PART]
EPOCHS = ["--train.epochs", "3", "--train.batch-size", "2", "--train.milestones", "2"]
SENTENCES = [
    *("--preset", "multi30k", "--data.vocabulary", "40", "--data.test", "test", "--train.average", "2"),
    *("--train.batch-size", "60", "--train.warmup-steps", "3", "--transformer.encoder-layers", "1"),
    *("--transformer.decoder-layers", "1", "--transformer.width", "8", "--transformer.heads", "2"),
    *("--transformer.hidden", "12", *CPU),
]
COMMANDS = {
    "search": [*SEARCH, "--searcher.epochs", "4"],
    "search-classification": [
        *("search", "digits", "--data.limit", "60", "--backbone", "cifar_resnet8", *PLACES),
        *("--searcher.batch-size", "10"),
    ],
    "search-imagenet": [
        *("search", "imagenet", "--data.root", "classes", "--backbone", "narrow_resnet"),
        *("--image-size", "32", "--resize", "36", *LOADING, *PLACES),
    ],
    "search-coco-detection": [
        *("search", "coco-aa", "--data.root", "coco", "--detector.backbone", "resnet18"),
        *("--detector.min-sizes", "64", "--detector.max-size", "64", *PARTS, *LOADING, *PLACES),
        *("--searcher.epochs", "2"),
    ],
    "search-coco-keypoints": [
        *("search", "coco-keypoints", "--data.root", "coco", "--backbone", "narrow_resnet"),
        *("--image-size", "64", "64", *PARTS, *LOADING, *PLACES),
    ],
    "search-segmentation": [
        *("search", "camvid", "--data.root", "scenes", "--data.layout", "folders", "--data.num-classes", "3"),
        *("--data.classes", "--data.ignore", "255", "--backbone", "narrow_resnet", "--crop", "65"),
        *(*PARTS, *LOADING, *PLACES),
    ],
    "front": [
        *(*SEARCH, "--searcher", "random", "--searcher.trials", "4", "--searcher.epochs", "3"),
        *("--target", "macs<=2x", "macs<=3x"),
    ],
    "blackbox": [
        *(*SEARCH, "--searcher", "evolution", "--searcher.trials", "4", "--searcher.epochs", "1"),
    ],
    "nni": [
        *(*SEARCH, "--engine", "nni", "--searcher", "evolution", "--searcher.trials", "3"),
        *("--searcher.epochs", "1", "--portal-port", "8197"),
    ],
    "retrain": ["retrain", "none", "se", *SMALL, "--train.epochs", "4", "--train.batch-size", "20"],
    "compare": [
        *("compare", "se", *SMALL, "--beside", "random", "plain", "--no-measure", "--match", "macs"),
        *("--search.num-nodes", "2", "--search.searcher.epochs", "1", "--search.searcher.batch-size", "10"),
        *("--search-seeds", "0", "1", "--seeds", "0", "--random-cells", "2", "--random-seeds", "0"),
        *("--control-seeds", "0", "1", "--train.epochs", "2", "--train.batch-size", "20"),
        *("--train.warmup-epochs", "1"),
    ],
    "imagenet": [
        *("retrain", "none", "se", "--preset", "imagenet", "--data.root", "classes", *PICTURES, *EPOCHS),
        *("--image-size", "32", "--resize", "36"),
    ],
    "coco-detection": [
        *("retrain", "none", "--preset", "coco-ssd300", "--smoke", "--detector.backbone", "resnet18"),
        *("--data.root", "coco", *PARTS, *CPU),
    ],
    "coco-keypoints": [
        *("retrain", "none", "--preset", "coco-keypoints", "--data.root", "coco", *PARTS, *PICTURES, *EPOCHS),
        *("--image-size", "64", "64"),
    ],
    "segmentation": [
        *("retrain", "none", "--task", "segmentation", "--data.layout", "folders", "--data.root", "scenes"),
        *("--data.num-classes", "3", "--crop", "65", *PARTS, *PICTURES),
        *("--train.epochs", "3", "--train.batch-size", "2"),
    ],
    "translation": [
        *("retrain", "none", "self=ga:0110", "--data.root", "sentences", *SENTENCES, "--train.epochs", "4"),
    ],
}

LOADED = [
    *(
        "autola.cli",
        "autola.commands.search",
        "autola.commands.retrain",
        "autola.commands.compare",
        "autola.comparing.running",
        "autola.plans.front",
        "autola.run_search",
    ),
    *("autola.retraining", "outputs.tensorboard", "torchvision", "matplotlib.pyplot", "pycocotools.cocoeval"),
    *("torch.utils.flop_counter", "tensorboard.summary.writer.record_writer", "sklearn.datasets"),
    *("evaluators.tasks.imagenet", "evaluators.tasks.coco_detection", "autola.plans.experiment"),
    *("evaluators.tasks.keypoints", "evaluators.tasks.segmentation", "evaluators.tasks.translation"),
    *("sentencepiece", "sacrebleu", "benchmarks.narrow_resnet"),
]
"""Modules that commands find loaded, a narrow network among them; what is not installed is passed over."""
NNI = "nni"
"""Folder of a run that NNI keeps its own records in, under names that it draws."""
OF_ATTEMPTS = (NNI, WORK)
"""Folders whose records are of the attempts at a run, which differ by how often it was killed."""
FORKING = get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to kill, and how often."""

    commands: tuple[str, ...] = tuple(COMMANDS)
    """Commands to kill: search, front, blackbox, nni (trials by NNI), retrain (digits), compare, and other
    tasks."""
    kills: int = 20
    """Kills a command."""
    seed: int = 0
    """Seed of the moments."""
    json: bool = False
    """Prints one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """For each command: kills, runs that were started, and how many of them ended as the undisturbed one."""
    FORKING.set_forkserver_preload(LOADED)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every resumption that it reads
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_classes(data / "classes")
        write_coco(data / "coco")
        write_scenes(data / "scenes")
        write_sentences(data / "sentences")
        for name in options.commands:
            moments = random.Random(f"{options.seed} {name}")
            figures[name] = _killed(COMMANDS[name], options.kills, moments, Path(folder) / name, data)
            print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    return figures


def _killed(
    command: list[str], kills: int, moments: random.Random, folder: Path, data: Path
) -> dict[str, int]:
    folder.mkdir()
    _run(["--version"], None, data)  # starts the process that has all loaded
    began = time.time()
    assert _run([*command, "--out", str(folder / "undisturbed")], None, data)
    seconds = time.time() - began
    ready = (folder / "undisturbed" / "config.json").stat().st_mtime - began
    print(
        f"{folder.name}: {seconds:.1f} s undisturbed, a folder after {ready:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    wanted = ending(folder / "undisturbed")
    done = runs = equal = early = 0
    while done < kills:
        run = folder / f"run-{runs}"
        ended = False
        while not ended:
            known = (run / "config.json").exists()
            words = [command[0], "--resume", str(run)] if known else [*command, "--out", str(run)]
            limit = moments.uniform(0.9 * ready, seconds) if done < kills else None
            ended = _run(words, limit, data)
            done += not ended
            early += not ended and not (run / "config.json").exists()
        runs += 1
        try:
            found = ending(run)
        except ValueError as error:
            found = {"tensorboard": str(error)}
        litter = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
        for name in differing(wanted, found):
            print(f"{run.name} differs in {name}", file=sys.stderr)
        for name in litter:
            print(f"left behind: {name}", file=sys.stderr)
        equal += found == wanted and not litter
    return {"kills": done, "before_the_folder": early, "runs": runs, "equal": equal}


def _run(words: list[str], seconds: float | None, folder: Path) -> bool:
    """Runs a command in a folder to its end, or kills it after some seconds; whether it ended."""
    code, told = run(words, folder, seconds)
    if code:
        raise RuntimeError(f"autola {' '.join(words)} ended with {code}: {told}")
    return code is not None


def run(words: list[str], folder: Path, seconds: float | None = None) -> tuple[int | None, str]:
    """Runs a command in a folder: its exit code, None where it was killed after some seconds; its output."""
    told = folder / "told"
    process = FORKING.Process(target=_command, args=(words, folder, told))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None, ""
    return process.exitcode, told.read_text()


def _command(words: list[str], folder: Path, told: Path) -> None:
    from autola.cli import main

    os.chdir(folder)
    with told.open("w") as file:
        for output in (1, 2):
            os.dup2(file.fileno(), output)
    sys.exit(main(words))


def ending(run: Path) -> dict[str, Any]:
    """What a run ends with, by file: weights as bytes, records without times, of drawings the name alone."""
    kept = dict[str, Any]()
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if not set(OF_ATTEMPTS).isdisjoint(path.relative_to(run).parts):
            continue
        if path.name == "tensorboard":
            kept[name] = _points(path)
        elif path.is_dir() or path.parent.name == "tensorboard":
            continue
        elif path.name in ("genotype.json", "placement.json", "weights.safetensors", "shares.json"):
            kept[name] = path.read_bytes()
        elif path.suffix == ".json":
            kept[name] = _timeless(json.loads(path.read_text()))
        elif path.name == "metrics.jsonl":
            kept[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        else:
            kept[name] = None
    return kept


def differing(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The files in which two endings differ."""
    return [
        name
        for name in sorted(wanted.keys() | found.keys())
        if name not in found or name not in wanted or wanted[name] != found[name]
    ]


def _points(folder: Path) -> dict[str, list[tuple[int, float | None]]]:
    """Step and value of each point that TensorBoard shows; of times no value.

    Raises:
        ValueError: If the steps are not those of metrics.jsonl.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator(str(folder)).Reload()
    records = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    points = dict[str, list[tuple[int, float | None]]]()
    for tag in events.Tags()["scalars"]:
        shown = events.Scalars(tag)
        steps = [point.step for point in shown]
        # Some figures are told from the second epoch on; shares are not in metrics.jsonl.
        shown_there = [record.get(tag) is not None or tag.startswith("shares/") for record in records]
        logged = [record["step"] for record, there in zip(records, shown_there) if there]
        if steps != logged:
            raise ValueError(f"{folder}: {tag} has the steps {steps}, not {logged}")
        points[tag] = [
            (point.step, None if tag.endswith("seconds") else float(point.value)) for point in shown
        ]
    return points


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(part)
            for key, part in value.items()
            if not key.endswith("seconds") and key not in ("run", "started", "log")
        }
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for name, row in figures.items():
        early = f" ({row['before_the_folder']} before there was a folder)"
        print(f"{name}: {row['kills']} kills{early} in {row['runs']} runs, {row['equal']} of them equal")


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
