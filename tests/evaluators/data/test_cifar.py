from __future__ import annotations

import hashlib
import os
import pickle
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from evaluators.data import DataConfig, normalization, read
from foundation.errors import InputError

MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]

LETTERS = "abcdefghij"
CLASSES = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}


def official(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Writes small files of the official form and makes their checksums the official ones."""
    dataset = CLASSES[name]
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    classes = [f"class {number:02}" for number in range(10 if name == "cifar10" else 100)]
    key = "labels" if name == "cifar10" else "fine_labels"

    def write(file: str, content: dict) -> str:
        data = pickle.dumps(content)
        (folder / file).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    pixels = []
    for part in ("train_list", "test_list"):
        entries = []
        for file, _ in getattr(dataset, part):
            images = random.integers(0, 256, (len(classes), 3072), dtype=np.uint8)
            pixels.append(images)
            entries.append([file, write(file, {"data": images, key: list(range(len(classes)))})])
        monkeypatch.setattr(dataset, part, entries)
    meta = {**dataset.meta, "md5": write(dataset.meta["filename"], {dataset.meta["key"]: classes})}
    monkeypatch.setattr(dataset, "meta", meta)
    return np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("inside", [False, True])
def test_official_files(tmp_path: Path, name: str, inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = official(tmp_path, name, monkeypatch)
    root = tmp_path / CLASSES[name].base_folder if inside else tmp_path
    splits = read(DataConfig(name=name, root=str(root)))
    assert splits.num_classes == (10 if name == "cifar10" else 100)
    found = torch.cat([splits.train.images, splits.test.images]).numpy()
    np.testing.assert_array_equal(found, pixels)
    assert splits.test.labels.tolist() == list(range(splits.num_classes))


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("missing", [False, True])
def test_official_files_with_a_wrong_checksum_are_not_opened(
    tmp_path: Path, file: str, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    official(tmp_path, "cifar10", monkeypatch)
    path = tmp_path / "cifar-10-batches-py" / file
    trap = tmp_path / "sprung"
    if missing:
        path.unlink()
    else:
        path.write_bytes(b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR.")
    with pytest.raises(InputError, match=f"{file} is {'missing' if missing else 'damaged'}.* unpack"):
        read(DataConfig(name="cifar10", root=str(tmp_path)))
    assert not trap.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_images_in_folders_and_tars(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path, packed: bool
) -> None:
    root = make_folder(classes=LETTERS, each=5, size=32)
    root = pack(root, tmp_path / "cifar.tar.gz") if packed else root
    splits = read(DataConfig(name="cifar10", root=str(root)))
    assert splits.train.images.shape == (40, 32, 32, 3)
    assert len(splits.test) == 10


@pytest.mark.parametrize(
    ("name", "classes", "size", "message"),
    [
        ("cifar10", "abc", 32, "is not cifar10: it has 3 classes of 32x32 images, not 10 of 32x32"),
        ("cifar10", LETTERS, 28, "10 classes of 28x28 images"),
        ("cifar100", LETTERS, 32, "not 100 of 32x32"),
    ],
)
def test_other_images_are_refused(
    make_folder: MakeFolder, name: str, classes: str, size: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(DataConfig(name=name, root=str(make_folder(classes=classes, size=size))))


def test_the_packed_official_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(b"x")
    for root in (tmp_path, path):
        with pytest.raises(InputError, match="is packed; unpack it"):
            read(DataConfig(name="cifar10", root=str(root)))


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", offline)
    with pytest.raises(InputError, match=r"cannot download https://.*no network.*by hand"):
        read(DataConfig(name="cifar10", root=str(tmp_path / "new"), download=True))
    with pytest.raises(InputError, match="needs root"):
        read(DataConfig(name="cifar10", download=True))


def test_nothing_is_downloaded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official(tmp_path, "cifar10", monkeypatch)
    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", None)
    assert len(read(DataConfig(name="cifar10", root=str(tmp_path), download=True)).train) == 50


def test_at_another_size_it_is_as_from_a_folder(make_folder: MakeFolder) -> None:
    root = str(make_folder(classes=LETTERS, each=5, size=32))
    ours = read(DataConfig(name="cifar10", root=root, image_size=16))
    theirs = read(DataConfig(name="folder", root=root, image_size=16))
    for name, part in ours.parts().items():
        assert part.images.shape[1:] == (16, 16, 3)
        assert torch.equal(part.images, theirs.parts()[name].images)


def test_the_official_files_at_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official(tmp_path, "cifar10", monkeypatch)
    small = read(DataConfig(name="cifar10", root=str(tmp_path), image_size=16)).train
    whole = read(DataConfig(name="cifar10", root=str(tmp_path))).train
    assert small.images.shape == (50, 16, 16, 3)
    means = small.images.double().mean((1, 2)), whole.images.double().mean((1, 2))
    assert torch.allclose(*means, atol=2.0)
    assert torch.equal(small.labels, whole.labels)


@pytest.mark.slow
def test_the_real_one() -> None:
    beside = Path(__file__).parents[4] / "shared" / "data"
    root = Path(os.environ.get("AUTOLA_TEST_DATA", beside)) / "cifar10"
    if not root.exists():
        pytest.skip("AUTOLA_TEST_DATA names no folder that holds cifar10")
    config = DataConfig(name="cifar10", root=str(root))
    splits = read(config)
    assert splits.train.images.shape == (50_000, 32, 32, 3)
    assert splits.test.images.shape == (10_000, 32, 32, 3)
    assert torch.bincount(splits.train.labels).tolist() == [5_000] * 10
    assert torch.bincount(splits.test.labels).tolist() == [1_000] * 10
    assert splits.train.classes[0] == "airplane"
    assert splits.train.classes[9] == "truck"
    mean, std = normalization(config, splits.train)
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-3)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=3e-3)
    limited = read(DataConfig(name="cifar10", root=str(root), limit=1000))
    assert torch.bincount(limited.train.labels).tolist() == [100] * 10
