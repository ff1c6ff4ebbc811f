"""Which images a source holds, and of which class each is."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from evaluators.data.parts import part_of, sounds_like_a_part
from evaluators.data.tally import Tally
from foundation.errors import InputError, listed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """The images of a source, sorted by class and path, so that a tar of a folder gives the same set.

    Attributes:
        classes: Sorted by name.
        labels: Class of each image.
        numbers: Name of a file in its source to its index in the set.
        tally: What is used, and what is not.
    """

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    numbers: dict[str, int]
    tally: Tally = field(compare=False)

    def __len__(self) -> int:
        return len(self.labels)


def log_lacking(path: Path, there: Iterable[str], trained: Iterable[str]) -> None:
    """Logs which classes of the training set a part has no image of: its score says nothing of them."""
    there = set(there)
    lacking = [name for name in trained if name not in there]
    if lacking:
        log.warning("%s: classes without an image: %s", path, listed(lacking))


class Source(Protocol):
    """A folder or tar with a folder a class."""

    @property
    def path(self) -> Path: ...

    def fingerprint(self) -> str:
        """Changes when an image is added, removed or changed; found without reading the images."""
        ...

    def digests(self) -> dict[str, str]:
        """What a run compares when it goes on, to a digest of it that a copy of the source has as well."""
        ...

    def index(self, *, whole: bool = True) -> Index:
        """Lists the images.

        Args:
            whole: Whether it has to have two classes, none of them empty; else classes may be missing.

        Raises:
            InputError: If there are none, or not in classes, or the source is broken.
        """
        ...

    def files(self) -> Iterator[tuple[str, bytes | Path]]:
        """Name and content, or path, of each image, of those that `index` lists and maybe others."""
        ...


def index_of(
    path: Path, names: Iterable[str], folders: Iterable[str], tally: Tally, *, depth: int = 0, whole: bool
) -> Index:
    """Sorts files into classes.

    Args:
        path: Where they are; for messages.
        names: Image files, relative, with slashes.
        folders: Names of class folders that were seen, with or without images.
        tally: What was passed over so far; loose images are added.
        depth: Number of wrapping folders above the class folders.
        whole: Whether there have to be two classes, none of them empty.

    Raises:
        InputError: If the folders are parts instead of classes, or classes are missing.
    """
    deep = [(*map(composed, name.split("/")[depth:]), name) for name in set(names)]
    split = sorted((parts[:-1], parts[-1]) for parts in deep if len(parts) > 2)
    loose = sorted(parts[-1] for parts in deep if len(parts) <= 2)
    found = {parts[0] for parts, _ in split}
    _refuse_parts(path, [parts for parts, _ in split])
    _refuse_labels(path, found)
    empty = sorted({composed(name) for name in folders} - found)
    if whole and empty:
        raise InputError(f"class {empty[0]!r} in {path} has no images; add some or remove its folder")
    if len(found) < (2 if whole else 1):
        needed = "two are needed" if whole else "one is needed"
        raise InputError(
            f"{path} has {len(found) or 'no'} class{'' if found else 'es'} with images, {needed}; "
            "expected <class>/<image>, or train/<class>/<image> beside test or val"
        )
    for name in loose:
        tally.leave_out("beside the class folders", name)
    for name in empty:
        tally.pass_over("a class without an image", name)
    for parts, name in split:
        if len(parts) > 2:
            tally.note("in deeper folders, of the class above them", name)
    classes = tuple(sorted(found))
    number = {name: label for label, name in enumerate(classes)}
    tally.used = len(split)
    return Index(
        classes,
        tuple(number[parts[0]] for parts, _ in split),
        {name: index for index, (_, name) in enumerate(split)},
        tally,
    )


def _refuse_parts(path: Path, files: list[tuple[str, ...]]) -> None:
    """Folders called train or val with folders of images in them are no classes."""
    deeper = dict[str, set[str]]()
    for parts in files:
        deeper.setdefault(parts[0], set()).add(parts[1] if len(parts) > 2 else "")
    parts = [
        name
        for name, inner in sorted(deeper.items())
        if sounds_like_a_part(name) and "" not in inner and len(inner) > 1
    ]
    if not parts and len({part_of(name) for name in deeper} - {None}) > 1:
        parts = sorted(name for name in deeper if part_of(name))
    if parts:
        raise InputError(
            f"{path} holds {' and '.join(parts)} instead of classes; give a folder that has them "
            "as folders or as tars of their own, named train beside val or test"
        )


_PICTURES = frozenset(
    ("image", "img", "picture", "photo", "frame", "scan", "jpeg", "jpg", "png", "rgb", "raw", "depth")
)
_LABELS = frozenset(("mask", "label", "annotation", "annot", "segmentation", "gt", "truth", "target"))
_BESIDE = frozenset(("class", "object", "instance", "semantic", "ground", "color", "colour"))
"""Words for folders of images and of their labels, and words that go with these, in singular."""


def _refuse_labels(path: Path, classes: set[str]) -> None:
    """Folders that are called images and masks, and the like, are no classes."""
    named = [_words(name) for name in classes]
    kinds = [(bool(words & _PICTURES), bool(words & _LABELS)) for words in named]
    known = all(words <= _PICTURES | _LABELS | _BESIDE for words in named)
    if len(classes) > 1 and known and all(map(any, kinds)) and any(label for _, label in kinds):
        raise InputError(
            f"{path} holds {' and '.join(sorted(classes)[:3])}, which are images and their labels and no "
            "classes; give a folder with a folder a class, or choose the task segmentation"
        )


def _words(name: str) -> set[str]:
    """The words and numbers of a folder's name, in singular: JPEGImages has jpeg and image."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    return {word.casefold() if word.endswith("ss") else word.casefold().removesuffix("s") for word in words}


def composed(name: str) -> str:
    """A name as it compares: systems write the accents of equal names in two ways."""
    return unicodedata.normalize("NFC", name)


_SYSTEMS = frozenset(
    (
        *("__macosx", "@eadir", "#recycle", "@recycle", "@tmp", "#snapshot", "$recycle.bin", "lost+found"),
        *("system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    )
)


def is_hidden(name: str) -> bool:
    """Whether a system put this file or folder there, not the user."""
    return name.startswith(".") or name.casefold() in _SYSTEMS


def is_image(name: str) -> bool:
    """Whether Pillow knows how to open files with this ending, and to decode them."""
    return f".{name.rpartition('.')[2].lower()}" in _image_endings()


UNREADABLE = "of a kind that Pillow cannot read"
"""Why an image is left out that somebody meant to be one."""

_OTHER_PICTURES = frozenset(
    f".{ending}"
    for ending in (
        *("heic", "heif", "hif", "jxl", "svg", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2", "exr"),
        *("hdr", "dcm", "nii", "npy", "npz", "mat", "emf", "wmf", "xcf"),
    )
)
"""Endings of images that are known and not read here."""


def is_unreadable_image(name: str) -> bool:
    """Whether the ending is that of an image of a kind that Pillow does not decode."""
    ending = f".{name.rpartition('.')[2].lower()}"
    return ending in _OTHER_PICTURES and ending not in _image_endings()


_NOT_DECODED = frozenset(("BUFR", "GRIB", "HDF5", "MPEG", "WMF"))
"""Formats that Pillow recognises and leaves to others."""


@cache
def _image_endings() -> frozenset[str]:
    from PIL import Image

    Image.preinit()  # loads JPEG and its like first, so that they are also tried first
    return frozenset(
        end
        for end, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _NOT_DECODED
    )
