"""Every file that a user hands in, spoilt in every way: a line or two, code 2, nothing written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from evaluators.data.picture import open_rgb
from evaluators.data.pictures import open_picture
from evaluators.weight_sources import read_weights
from foundation.errors import InputError
from tests.autola.conftest import Refused
from tests.evaluators.dense import write_people, write_scenes

SECONDS = 60
"""A command that waits for a pipe or reads a device without end is stopped then."""


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def replaced(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def folder(path: Path) -> None:
    replaced(path)
    path.mkdir()


def pipe(path: Path) -> None:
    replaced(path)
    os.mkfifo(path)


def device(path: Path) -> None:
    replaced(path)
    path.symlink_to("/dev/zero")


def picture(path: Path) -> None:
    image = Image.new("RGB", (9, 9))
    image.save(path, format="GIF")


WAYS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "zeros": lambda path: path.write_bytes(bytes(3000)),
    "another kind": picture,
    "json of another shape": lambda path: path.write_text('{"images": 3, "version": [1], "nodes": {}}'),
    "a long number": lambda path: path.write_text('{"version": ' + "9" * 5000 + "}"),
    "a large number": lambda path: path.write_text('{"version": 1e400, "seed": 1' + 30 * "0" + "}"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "deep objects": lambda path: path.write_text('{"a":' * 100_000),
    "missing": replaced,
    "folder": folder,
    "pipe": pipe,
    "device": device,
}


LONG = ("zeros", "a large number", "deep", "device")
"""Ways that are tried with the slow tests, as each has a quick one like it."""


class Handed(NamedTuple):
    """A file that is handed in: where it lies, what reads it, and ways of spoiling it that are none."""

    path: str
    command: str
    fine: tuple[str, ...] = ()


IMAGES = "--data.name folder --data.image-size 8 --width 4 --train.epochs 1 --train.batch-size 2"
POSES = (
    "retrain none --task coco-keypoints --data.train few --data.test few --workers 0 --backbone resnet18 "
    "--weights None --data.root people --train.batch-size 4"
)
SCENES = (
    "retrain none --task segmentation --data.layout folders --data.train few --data.test few --workers 0 "
    "--backbone resnet18 --weights None --data.root scenes --data.num-classes 3"
)
JSON = ("json of another shape", "a long number", "a large number", "deep", "deep objects")
HANDED = {
    "genotype": Handed("genotype.json", "inspect genotype.json --no-latency"),
    "genotype of a run": Handed("found/genotype.json", "retrain hoga:found"),
    "config of a search": Handed("found/config.json", "search --resume found"),
    "config of a search, inspected": Handed(
        "found/config.json", "inspect found --no-latency", ("missing", "folder", "pipe", "device")
    ),
    "config of a retraining": Handed("trained/config.json", "retrain --resume trained"),
    "config of a training": Handed("trained/none-seed0/config.json", "predict trained/none-seed0 image.png"),
    "data of a training": Handed("trained/none-seed0/data.json", "predict trained/none-seed0 image.png"),
    "data of a search": Handed("found/data.json", "inspect found --no-latency"),
    "shares of a search": Handed("found/shares.json", "inspect found --no-latency", ("missing",)),
    "result of a search": Handed(
        "found/result.json",
        "search --resume found",
        ("missing", "json of another shape", "a large number"),  # its keys are not read again
    ),
    "table": Handed("trained/table.json", "retrain --resume trained", ("missing",)),
    "weights": Handed("trained/none-seed0/weights.safetensors", "predict trained/none-seed0 image.png"),
    "run": Handed("found", "search --resume found", ()),
    "picture": Handed("image.png", "predict trained/none-seed0 image.png", ("another kind",)),
    "folder of images": Handed("images", f"retrain none {IMAGES} --data.root images"),
    "image in a folder": Handed(
        "images/a/0.png",
        f"retrain none {IMAGES} --data.root images",
        ("another kind", "missing", "folder", "pipe", "device"),  # the last two are passed over
    ),
    "tar": Handed("images.tar", f"retrain none {IMAGES} --data.root images.tar"),
    "annotations": Handed("people/annotations/person_keypoints_few.json", POSES),
    "detections": Handed("detections.json", f"{POSES} --detections detections.json"),
    "labels": Handed("scenes/fewannot/0.png", SCENES),
    "module": Handed("mine.py", "list --import mine", ("empty", "folder", *JSON[:3])),
}


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Stops a command that would never end."""

    def late(*_: object) -> None:
        raise AssertionError(f"did not end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def handed_in(own_folder: Path, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Makes what a command reads, all of it whole."""

    def make(words: str) -> None:
        if "found" in words or "genotype" in words:
            run = request.getfixturevalue("found")
            shutil.copy(run / "genotype.json", own_folder / "genotype.json")
        if "trained" in words:
            request.getfixturevalue("trained")
        if "people" in words:
            write_people(own_folder / "people")
        if "scenes" in words:
            write_scenes(own_folder / "scenes")
        if "images" in words:
            for number in range(20):
                path = own_folder / "images" / "ab"[number % 2] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8, 3), 12 * number, np.uint8)).save(path)
            with tarfile.open(own_folder / "images.tar", "w") as tar:
                tar.add("images")
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(own_folder / "image.png")
        found = [{"image_id": 10, "category_id": 1, "bbox": [4, 5, 30, 50], "score": 0.9}]
        (own_folder / "detections.json").write_text(json.dumps(found))
        (own_folder / "mine.py").write_text("NAMES = {\n    'a': 1,\n}\n")

    return make


def cases() -> Iterator[object]:
    for name, handed in HANDED.items():
        for way in WAYS:
            if way not in handed.fine and not (handed.path in ("found", "images") and way == "cut"):
                marks = [pytest.mark.slow] if way in LONG else []
                yield pytest.param(name, way, id=f"{name}-{way}", marks=marks)


@pytest.mark.parametrize(("name", "way"), list(cases()))
def test_a_file_that_is_spoilt(
    refused: Refused,
    handed_in: Callable[[str], None],
    own_folder: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    way: str,
) -> None:
    handed = HANDED[name]
    handed_in(f"{handed.path} {handed.command}")
    path = own_folder / handed.path
    if path.is_dir():
        shutil.rmtree(path)
        path.touch()
    WAYS[way](path)
    capsys.readouterr()
    refused(handed.command)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["start.pth", "start.safetensors"])
def test_weights_to_start_from(own_folder: Path, name: str, way: str) -> None:
    path = own_folder / name
    weights = {"conv1.weight": torch.arange(100.0)}
    torch.save(weights, path) if path.suffix == ".pth" else save_file(weights, path)
    assert read_weights(name).keys() == weights.keys()
    WAYS[way](path)
    with pytest.raises(InputError):
        read_weights(name)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "another kind"])
@pytest.mark.parametrize("read", [open_rgb, open_picture])
def test_a_picture_that_is_read_when_its_turn_comes(
    own_folder: Path, read: Callable[[Path], object], way: str
) -> None:
    path = own_folder / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(path)
    WAYS[way](path)
    with pytest.raises(InputError):
        read(path)
