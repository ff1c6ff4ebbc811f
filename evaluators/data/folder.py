"""Any images in folders, a folder a class, or in tars of such folders."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from evaluators.data.archive import ENDINGS, Archive, is_archive
from evaluators.data.cache import FORMAT, cached
from evaluators.data.config import DataConfig
from evaluators.data.decode import decode
from evaluators.data.directory import Directory
from evaluators.data.image_set import ImageSet, Splits
from evaluators.data.index import Source, is_hidden, log_lacking
from evaluators.data.listing import Listing
from evaluators.data.parts import find_parts, log_unused
from evaluators.data.reader import READERS, refuse, root_of
from evaluators.data.stratify import hold_out
from foundation.errors import InputError
from foundation.words import counted

TEST_FRACTION = 0.2
"""Fraction of the images that becomes the test set where a data set comes without one."""


@READERS.register("folder")
def read_folder(config: DataConfig) -> Splits:
    """Images in a folder a class, or tars of these, of every type that Pillow knows, as RGB.

    The layouts are those of `read_layout`.

    Raises:
        InputError: If the data is missing, empty, damaged or laid out in another way.
    """
    refuse(config, "download")
    return read_layout(root_of(config), config.image_size)


def read_layout(root: Path, image_size: int | None) -> Splits:
    """Reads one of these; classes are sorted by name.

    - `root/train/<class>/<image>` beside `root/test` or `root/val`, or the same parts as `train.tar`,
      `train.tar.gz` or `train.tgz`, under any of their usual names (`PARTS`). Of test and val, if both are
      there, val is for validation; a lone val is the test set, as in ImageNet.
    - `root/<class>/<image>`, or one tar of that: a fixed stratified fifth is the test set.

    Raises:
        InputError: As `read_folder`.
    """
    if is_archive(root):
        return _alone(Archive(root), image_size)
    if not root.is_dir():
        raise InputError(f"{root} is neither a folder nor a tar ({', '.join(ENDINGS)})")
    if not any(root.iterdir()):
        raise InputError(f"{root} is empty; put the images there, or give another root")
    parts = {
        name: Archive(path) if is_archive(path) else Directory(path)
        for name, path in find_parts(root, ENDINGS).items()
    }
    if "train" not in parts or len(parts) < 2:
        for name, part in parts.items():
            if isinstance(part, Archive):
                other = "test or val" if name == "train" else "train"
                raise InputError(
                    f"{root} has {part.path.name} but no {other}; add it, or give the tar as root"
                )
        return _alone(Directory(root), image_size)
    log_unused(root, (part.path for part in parts.values()), is_hidden)
    read = {name: _read(part, image_size, whole=name == "train") for name, part in parts.items()}
    listings = {name: _listing(parts[name], images) for name, images in read.items()}
    train = read.pop("train")
    others = {name: _relabelled(images, train, parts[name]) for name, images in read.items()}
    if "test" in others:
        return Splits(train, others["test"], others.get("val"), listings)
    return Splits(train, others["val"], listings=listings)


def look(root: Path) -> str:
    """What `read_layout` would read, in a few words, without opening an image; of a tar the first members.

    Raises:
        InputError: If there is no layout that it reads.
    """
    if is_archive(root):
        return f"a tar, {_classes_of(root)}, a fifth of each becomes the test set"
    if not root.is_dir():
        raise InputError(f"{root} is neither a folder nor a tar ({', '.join(ENDINGS)})")
    parts = find_parts(root, ENDINGS)
    if "train" in parts and len(parts) > 1:
        return f"{' and '.join(path.name for path in parts.values())}, {_classes_of(parts['train'])}"
    return f"{_classes_of(root)}, a fifth of each becomes the test set"


def _classes_of(path: Path) -> str:
    """How many classes a folder or tar has; of a large tar, how many its first members show."""
    if path.is_dir():
        return f"{_num_classes(path)} classes"
    number, are_all = Archive(path).look()
    return counted(number, "class", "classes") + ("" if are_all else " among its first members")


def _num_classes(folder: Path) -> int:
    """The classes of a folder: the folders in it, each with an image among its files.

    Raises:
        InputError: If there are not two, or one has no file that is named as an image.
    """
    from PIL import Image

    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    if len(classes) < 2:
        raise InputError(f"{folder} has {len(classes)} folders of classes; it takes two")
    for each in classes:
        if not any(path.suffix.lower() in Image.registered_extensions() for path in each.iterdir()):
            raise InputError(f"{each} holds no image, so {folder} has not a folder a class")
    return len(classes)


def _alone(source: Source, image_size: int | None) -> Splits:
    images = _read(source, image_size)
    listings = {"all": _listing(source, images)}
    return Splits(*hold_out(images, TEST_FRACTION, seed=0), listings=listings)


def _listing(source: Source, images: ImageSet) -> Listing:
    return Listing.of_classes(images.classes, images.labels.tolist(), source.digests())


def _read(source: Source, image_size: int | None, *, whole: bool = True) -> ImageSet:
    def build() -> ImageSet:
        index = source.index(whole=whole)
        index.tally.report()
        return ImageSet(decode(source, index, image_size), torch.tensor(index.labels), index.classes)

    key = f"{FORMAT} {image_size} {whole} {source.fingerprint()}"
    return cached(hashlib.blake2b(key.encode(), digest_size=16).hexdigest(), build)


def _relabelled(images: ImageSet, train: ImageSet, source: Source) -> ImageSet:
    """Images with the labels of the training set; they may lack some of its classes.

    Raises:
        InputError: If they have a class that the training set lacks.
    """
    extra = sorted(set(images.classes) - set(train.classes))
    if extra:
        raise InputError(
            f"{source.path} has classes that the training set lacks: {', '.join(extra[:5])}"
            f"{' ...' if len(extra) > 5 else ''}; remove them, or add training images"
        )
    log_lacking(source.path, images.classes, train.classes)
    labels = torch.tensor([train.classes.index(name) for name in images.classes])
    return replace(images, labels=labels[images.labels], classes=train.classes)
