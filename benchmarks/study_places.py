"""Which module where, on real data: a search in each of five networks, then three seeds of what it found.

Beside it: its strongest site alone, two random placements of the same cost, modules everywhere, nothing.
Sized for minutes a run on one thread, with few epochs and small images, so that nothing is claimed of these
tasks at their usual size.

The folder of the data has `cifar` (train and test, a folder a class), `camvid`, `coco` and `imagenette`
(train and val). All start from random weights unless it has `weights/PRESET.safetensors`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from autola.advice_config import AdviceConfig
from autola.advising.conclude import ADVICE
from autola.advising.planning import Amounts
from autola.advising.running import COMPARED, SEARCH, run_advice
from autola.executors import Executor
from autola.presets import RETRAIN_PRESETS
from evaluators.recipe import TrainConfig
from outputs.comparison import COMPARISON, ROWS, SCORES
from search_space.placement import PLACEMENT

CANDIDATES = ("none", "se", "eca", "coordinate", "gc")
TARGET = "params<=1.02x"
AMOUNTS = Amounts(search_epochs=4, final_epochs=1, train_epochs=3, seeds=3)
KEPT = (ADVICE, f"{SEARCH}/{PLACEMENT}", *(f"{COMPARED}/{name}" for name in (COMPARISON, ROWS, SCORES)))
"""Records that are published."""


def subjects(root: Path, *, smoke: bool = False) -> Iterator[tuple[str, AdviceConfig]]:
    """What is advised on, by name."""
    yield (
        "cifar10",
        _subject(
            root, "cifar10", "cifar", smoke=smoke, batch=128, rate=0.05, backbone="cifar_resnet8", width=16
        ),
    )
    yield "camvid", _subject(root, "camvid", "camvid", smoke=smoke, batch=4, rate=0.02, crop=120)
    yield (
        "coco-keypoints",
        _subject(root, "coco-keypoints", "coco", smoke=smoke, batch=16, rate=1e-3, backbone="resnet18"),
    )
    yield "imagenet", _subject(
        root, "imagenet", "imagenette", smoke=smoke, batch=32, rate=0.02, backbone="resnet18", image_size=64,
        train_size=64, resize=72, workers=0,
    )  # fmt: skip
    yield "coco-faster-rcnn", _subject(root, "coco-faster-rcnn", "coco", smoke=smoke, batch=2, rate=0.005)


def _subject(
    root: Path, preset: str, data: str, *, smoke: bool, batch: int, rate: float, **changes: Any
) -> AdviceConfig:
    usual = RETRAIN_PRESETS[preset]
    task: Any = usual.task
    kept = {name: value for name, value in changes.items() if hasattr(task, name)}
    weights = root / "weights" / f"{preset}.safetensors"
    where = replace(task.data, root=str(root / data))
    if preset == "cifar10":
        where = replace(where, name="folder")
    if not weights.exists() and hasattr(task, "detector"):  # all of it has to learn then
        kept["detector"] = replace(task.detector, trainable_stages=5)
    task = replace(task, data=where, weights=str(weights) if weights.exists() else None, **kept)
    train = TrainConfig(
        epochs=AMOUNTS.train_epochs,
        batch_size=batch,
        optimizer=usual.train.optimizer,
        learning_rate=rate,
        weight_decay=usual.train.weight_decay,
        norm=usual.train.norm if task.weights else "train",
        validation_fraction=0.0,
        select="last",
    )
    if smoke:
        task, train = task.smoke(), train.smoke(task.smoke_batch)
    return AdviceConfig(task=task, train=train, target=TARGET, primitives=CANDIDATES, device="cpu", threads=1)


def run_places(
    root: Path, runs: Path, out: Path, until: float, on: Executor | None, *, smoke: bool = False
) -> None:
    """Advises on each, from where its run stands, and keeps what it says so far."""
    for name, given in subjects(root, smoke=smoke):
        left = (until - time.monotonic()) / 60
        if left <= 0:
            return
        run = runs / f"study-places-{name}"
        print(f"{name}\n{run_advice(given, run, minutes=left, on=on, amounts=AMOUNTS)}\n")
        for record in KEPT:
            if (run / record).is_file():
                (out / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run / record, out / name / Path(record).name)
