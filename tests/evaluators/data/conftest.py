"""Small image sets, in memory and on disk."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.data import ImageSet

MakeSet = Callable[..., ImageSet]
MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]


@pytest.fixture(scope="session")
def make_set() -> MakeSet:
    """Random images; the labels given, or `num` in turn."""

    def make(
        labels: list[int] | int, *, height: int = 5, width: int = 7, channels: int = 3, classes: int = 3
    ) -> ImageSet:
        if isinstance(labels, int):
            labels = [index % classes for index in range(labels)]
        shape = (len(labels), height, width, channels)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return ImageSet(images, torch.tensor(labels), tuple(f"class {index}" for index in range(classes)))

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """A class-per-folder tree of random PNGs under a new folder."""

    def make(name: str = "set", *, classes: str = "ab", each: int = 5, size: int = 6) -> Path:
        random = np.random.default_rng(len(name))
        for label in classes:
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for index in range(each):
                pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
        return tmp_path / name

    return make


@pytest.fixture
def pack() -> Pack:
    """Packs the content of a folder."""

    def make(folder: Path, target: Path, *, wrapper: str = ".") -> Path:
        compression = "" if target.suffix == ".tar" else "gz"
        with tarfile.open(target, f"w:{compression}") as archive:  # type: ignore[call-overload]
            archive.add(folder, wrapper)
        return target

    return make
