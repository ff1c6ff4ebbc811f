"""Which module where, on real data: a search in each of five networks, then three seeds of what it found.

Beside it: its strongest site alone, two random placements of the same cost, modules everywhere, nothing.
Sized for a minute a training on one thread, with few epochs and small images, so that nothing is claimed of
these tasks at their usual size.

The folder of the data has `cifar` (train and test, a folder a class), `camvid`, `coco` and `imagenette`
(train and val), and in `weights` what the networks start from, a file each, which two trainings make:

    autola retrain none --preset cifar10 --task.backbone cifar_resnet8 ... (cifar_resnet8.safetensors)
    autola retrain none --preset imagenet --task.backbone resnet18 ... (resnet18.safetensors)

Where a file is not there, that network starts from random weights.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autola.advice_config import AdviceConfig
from autola.advising.conclude import ADVICE
from autola.advising.planning import Amounts
from autola.advising.running import COMPARED, SEARCH, run_advice
from autola.executors import Executor
from autola.presets import RETRAIN_PRESETS
from benchmarks.publishing import publish
from evaluators.recipe import TrainConfig
from outputs.comparison import COMPARISON, ROWS, SCORES
from search_space.placement import PLACEMENT
from supernet.networks.config import DetectorConfig

CANDIDATES = ("none", "se", "eca", "coordinate", "gc")
TARGET = "params<=1.02x"
SEEDS = 3
KEPT = (ADVICE, f"{SEARCH}/{PLACEMENT}", *(f"{COMPARED}/{name}" for name in (COMPARISON, ROWS, SCORES)))
"""Records that are published."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is advised on.

    Attributes:
        preset: Whose task and recipe are taken, but for what follows.
        data: Its folder.
        batch, rate: Images of a batch, and the learning rate.
        epochs: Epochs of the search, and of each training of the comparison.
        task: Settings of the task.
        read: Settings of its data.
    """

    preset: str
    data: str
    batch: int
    rate: float
    epochs: tuple[int, int]
    task: dict[str, Any]
    read: dict[str, Any] = field(default_factory=dict[str, Any])

    def amounts(self) -> Amounts:
        """What is done, however long it takes."""
        search, train = self.epochs
        return Amounts(search_epochs=search, final_epochs=1, train_epochs=train, seeds=SEEDS)

    def config(self, root: Path) -> AdviceConfig:
        """The settings, with the data and the weights of a folder."""
        usual = RETRAIN_PRESETS[self.preset]
        task: Any = usual.task
        backbone = self.task["backbone"] if "backbone" in self.task else self.task["detector"].backbone
        weights = root / "weights" / f"{backbone}.safetensors"
        data = replace(task.data, root=str(root / self.data), **self.read)
        task = replace(task, data=data, weights=str(weights) if weights.exists() else None, **self.task)
        train = TrainConfig(
            epochs=self.epochs[1],
            batch_size=self.batch,
            optimizer=usual.train.optimizer,
            learning_rate=self.rate,
            weight_decay=usual.train.weight_decay,
            norm=usual.train.norm if task.weights else "train",
            validation_fraction=0.0,
            select="last",
        )
        return AdviceConfig(
            task=task, train=train, target=TARGET, primitives=CANDIDATES, device="cpu", threads=1
        )


SUBJECTS = {
    "cifar10": Subject(
        preset="cifar10",
        data="cifar",
        batch=128,
        rate=0.02,
        epochs=(4, 2),
        task={"backbone": "cifar_resnet8", "width": 16},
        read={"name": "folder", "limit": 10_000},
    ),
    "camvid": Subject(
        preset="camvid",
        data="camvid",
        batch=4,
        rate=0.02,
        epochs=(8, 6),
        task={"backbone": "resnet18", "crop": 120},
    ),
    "coco-keypoints": Subject(
        preset="coco-keypoints",
        data="coco",
        batch=16,
        rate=1e-3,
        epochs=(4, 2),
        task={"backbone": "resnet18", "image_size": (128, 96)},
    ),
    "imagenet": Subject(
        preset="imagenet",
        data="imagenette",
        batch=32,
        rate=0.01,
        epochs=(2, 1),
        task={"backbone": "resnet18", "image_size": 64, "train_size": 64, "resize": 72, "workers": 0},
    ),
    "coco-retinanet": Subject(  # Faster R-CNN takes ten times as long to evaluate: 1000 regions an image
        preset="coco-aa",
        data="coco",
        batch=2,
        rate=0.005,
        epochs=(2, 2),
        task={
            "detector": DetectorConfig(name="retinanet", backbone="resnet18", min_sizes=(96,), max_size=128)
        },
    ),
}


def run_places(
    subjects: Mapping[str, Subject],
    root: Path,
    runs: Path,
    out: Path,
    until: float,
    on: Executor | None,
    *,
    smoke: bool = False,
) -> None:
    """Advises on each, from where its run stands, and keeps what it says so far."""
    for name, subject in subjects.items():
        left = (until - time.monotonic()) / 60
        if left <= 0:
            return
        given, amounts = subject.config(root), subject.amounts()
        if smoke:
            given = replace(given, task=given.task.smoke(), train=given.train.smoke(given.task.smoke_batch))
        run = runs / f"study-places-{name}"
        print(f"{name}\n{run_advice(given, run, minutes=left, on=on, amounts=amounts)}\n")
        for record in KEPT:
            if (run / record).is_file():
                (out / name).mkdir(parents=True, exist_ok=True)
                publish(run / record, out / name / Path(record).name)
