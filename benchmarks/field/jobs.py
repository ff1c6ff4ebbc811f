"""The smallest searches and trainings of every task: their data, made on the fly, and their words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import small_data
from benchmarks.kills import SENTENCES
from benchmarks.small_data import PART

CPU = ["--device", "cpu", "--threads", "1"]
DATA = "data"
"""Folder of the data, in the folder of a cell."""
_FOLDER = ["--data.name", "folder", "--data.root", DATA, "--backbone", "cifar_resnet8", "--width", "8", *CPU]
_SEARCH = ["search", "digits", *_FOLDER, "--num-nodes", "2", "--searcher.batch-size", "4"]
_EPOCHS = ["--train.epochs", "2", "--train.batch-size", "2", "--train.warmup-epochs", "0"]
_PICTURES = ["--backbone", "resnet18", "--weights", "None", "--workers", "0", *CPU]
_PARTS = ["--data.root", DATA, "--data.train", PART, "--data.test", PART]
_POLY = ["--train.epochs", "2", "--train.batch-size", "2"]

WORDS: dict[str, list[str]] = {
    "search": [*_SEARCH, "--searcher.epochs", "2"],
    "front": [
        *(*_SEARCH, "--searcher", "random", "--searcher.trials", "2", "--searcher.epochs", "2"),
        *("--target", "macs<=2x", "macs<=3x"),
    ],
    "classification": ["retrain", "none", *_FOLDER, *_EPOCHS],
    "imagenet": [
        *("retrain", "none", "--preset", "imagenet", "--data.root", DATA, *_PICTURES, *_POLY),
        *("--train.milestones", "1", "--image-size", "32", "--resize", "36"),
    ],
    "detection": [
        *("retrain", "none", "--preset", "coco-ssd300", "--smoke", "--detector.backbone", "resnet18"),
        *(*_PARTS, *CPU),
    ],
    "keypoints": [
        *("retrain", "none", "--preset", "coco-keypoints", *_PARTS, *_PICTURES, *_POLY),
        *("--train.milestones", "1", "--image-size", "64", "64"),
    ],
    "segmentation": [
        *("retrain", "none", "--task", "segmentation", "--data.layout", "folders", "--data.num-classes", "3"),
        *("--crop", "65", *_PARTS, *_PICTURES, *_POLY),
    ],
    "translation": ["retrain", "none", "--data.root", DATA, *SENTENCES, "--train.epochs", "2"],
}
"""What starts each."""

TRAININGS = ("classification", "imagenet", "detection", "keypoints", "segmentation")
"""Columns that train a network on pictures."""
JOBS = tuple(WORDS)
"""Columns that search or train, and can be stopped."""
PICTURED = tuple(column for column in JOBS if column != "translation")
"""Those that read pictures."""
FOLDERS = ("search", "front", "classification")
"""Columns that read a folder a class into memory."""
COCO = ("detection", "keypoints")
"""Columns that read COCO's layout."""


def write_data(column: str, root: Path) -> None:
    """Writes what a column reads."""
    if column in FOLDERS:
        for number in range(24):
            picture(root / "ab"[number % 2] / f"{number}.png", number)
    elif column == "imagenet":
        small_data.write_classes(root)
    elif column in COCO:
        small_data.write_coco(root)
    elif column == "translation":
        small_data.write_sentences(root)
    else:
        small_data.write_scenes(root)


def picture(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> None:
    """Writes a picture of noise, width before height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def any_picture(column: str, root: Path) -> Path:
    """One of the pictures that a column trains on."""
    if column in FOLDERS:
        return root / "a" / "4.png"
    return root / "train" / "a" / "3.png" if column == "imagenet" else root / PART / "2.png"


def annotation_file(column: str, root: Path) -> Path:
    """The annotation file of a column that reads COCO's layout."""
    return (
        root / "annotations" / f"{'instances' if column == 'detection' else 'person_keypoints'}_{PART}.json"
    )


def annotate(column: str, root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the content of the annotation file."""
    file = annotation_file(column, root)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
