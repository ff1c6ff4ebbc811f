"""CIFAR-10 and CIFAR-100: official files, or the images as folders or tars."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from evaluators.data.config import DataConfig
from evaluators.data.decode import fit
from evaluators.data.folder import read_layout
from evaluators.data.image_set import ImageSet, Splits
from evaluators.data.reader import READERS, root_of
from foundation.errors import InputError

if TYPE_CHECKING:
    from torchvision import datasets


@dataclass(frozen=True)
class Release:
    """What the official files are called, known without importing torchvision."""

    dataset: str
    folder: str
    packed: str
    num_classes: int


CIFAR10 = Release("CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz", 10)
CIFAR100 = Release("CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz", 100)


@READERS.register("cifar10")
def read_cifar10(config: DataConfig) -> Splits:
    """50,000 training and 10,000 test images, 32x32 RGB, 10 classes.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Raises:
        InputError: If the data is missing, damaged or something else.
    """
    return _read(config, CIFAR10)


@READERS.register("cifar100")
def read_cifar100(config: DataConfig) -> Splits:
    """50,000 training and 10,000 test images, 32x32 RGB, 100 classes (the fine labels)."""
    return _read(config, CIFAR100)


def _read(config: DataConfig, release: Release) -> Splits:
    splits = _own_size(config, release)
    if config.image_size is None:
        return splits
    resized = {name: _resized(part, config.image_size) for name, part in splits.parts().items()}
    return replace(splits, **resized)


def _resized(part: ImageSet, side: int) -> ImageSet:
    """A part at another size, as the reader of folders resizes files."""
    from PIL import Image

    images = np.stack([np.asarray(fit(Image.fromarray(image), side)) for image in part.images.numpy()])
    return replace(part, images=torch.from_numpy(images))


def _own_size(config: DataConfig, release: Release) -> Splits:
    if config.download and config.root is not None:
        root = Path(config.root).expanduser()
        _download(release, root)
    else:
        root = root_of(config)
    if root.name == release.folder:
        root = root.parent
    if (root / release.folder).exists():
        return _official(release, root)
    if root.name == release.packed or (root / release.packed).exists():
        raise InputError(f"{release.packed} is packed; unpack it in its folder and give that folder as root")
    splits = read_layout(root, None)
    if splits.num_classes != release.num_classes or splits.train.images.shape[1:] != (32, 32, 3):
        height, width = splits.image_size
        raise InputError(
            f"{root} is not {config.name}: it has {splits.num_classes} classes of {height}x{width} images, "
            f"not {release.num_classes} of 32x32; use the reader 'folder' for other images"
        )
    return splits


def _dataset(release: Release) -> type[datasets.CIFAR10]:
    from torchvision import datasets

    return getattr(datasets, release.dataset)


def _download(release: Release, root: Path) -> None:
    dataset = _dataset(release)
    # The network, the disk and the archive each fail in their own way; what happened is in the message.
    try:
        root.mkdir(parents=True, exist_ok=True)
        _load(dataset, root, download=True)
    except Exception as error:
        raise InputError(
            f"cannot download {dataset.url} to {root} ({str(error) or type(error).__name__}); "
            "fetch it by hand and unpack it there"
        ) from error


def _official(release: Release, root: Path) -> Splits:
    """The official files are pickles, which can carry code: only torchvision reads them, after a check."""
    from torchvision.datasets.utils import check_integrity

    dataset, folder = _dataset(release), root / release.folder
    meta = (dataset.meta["filename"], dataset.meta["md5"])
    for name, md5 in (*dataset.train_list, *dataset.test_list, meta):
        if not check_integrity(str(folder / name), md5):
            state = "is damaged or not the official file" if (folder / name).exists() else "is missing"
            raise InputError(
                f"{folder / name} {state} (its md5 should be {md5}); unpack {release.packed} again"
            )
    train, test = (_image_set(_load(dataset, root, train=train)) for train in (True, False))
    return Splits(train, test)


def _load(
    dataset: type[datasets.CIFAR10], root: Path, *, train: bool = True, download: bool = False
) -> datasets.CIFAR10:
    with warnings.catch_warnings():
        # These pickles are of 2009 and spell a dtype in a way that NumPy 2.4 deprecates.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        return dataset(str(root), train=train, download=download)


def _image_set(part: datasets.CIFAR10) -> ImageSet:
    images = torch.from_numpy(np.ascontiguousarray(part.data))
    return ImageSet(images, torch.tensor(part.targets), tuple(part.classes))
