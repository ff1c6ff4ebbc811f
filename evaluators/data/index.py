"""Which images a source holds, and of which class each is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from search_space.errors import InputError

PARTS = ("train", "test", "val")
"""Names of the parts of a data set, as folders or tars."""


@dataclass(frozen=True)
class Index:
    """The images of a source, sorted by class and path, so that a tar of a folder gives the same set.

    Attributes:
        classes: Sorted by name.
        labels: Class of each image.
        places: Name of a file in its source to its place in the set.
    """

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    places: dict[str, int]

    def __len__(self) -> int:
        return len(self.labels)


class Source(Protocol):
    """A folder or tar with a folder a class."""

    @property
    def path(self) -> Path: ...

    def fingerprint(self) -> str:
        """Changes when an image is added, removed or changed; found without reading the images."""
        ...

    def index(self) -> Index:
        """Lists the images.

        Raises:
            InputError: If there are none, or not in classes, or the source is broken.
        """
        ...

    def files(self) -> Iterator[tuple[str, bytes | Path]]:
        """Name and content, or place, of each file that `index` lists."""
        ...


def index_of(path: Path, names: Iterable[str], folders: Iterable[str], depth: int = 0) -> Index:
    """Sorts files into classes.

    Args:
        path: Where they are; for messages.
        names: Image files, relative, with slashes.
        folders: Names of class folders that were seen, with or without images.
        depth: Number of wrapping folders above the class folders.

    Raises:
        InputError: If a class has no images or there are fewer than two classes.
    """
    split = sorted((tuple(name.split("/")[depth:]), name) for name in names)
    found = {parts[0] for parts, _ in split if len(parts) > 1}
    if len(found & set(PARTS)) > 1:
        raise InputError(
            f"{path} holds {' and '.join(sorted(found & set(PARTS)))} instead of classes; "
            "give a folder that has them as folders or as tars of their own"
        )
    for name in sorted(set(folders) - found):
        raise InputError(f"class {name!r} in {path} has no images; add some or remove its folder")
    if len(found) < 2:
        raise InputError(
            f"{path} has {len(found) or 'no'} class{'' if found else 'es'} with images, two are needed; "
            "expected <class>/<image>, or train/<class>/<image> beside test or val"
        )
    classes = tuple(sorted(found))
    number = {name: label for label, name in enumerate(classes)}
    split = [(parts, name) for parts, name in split if len(parts) > 1]
    return Index(
        classes,
        tuple(number[parts[0]] for parts, _ in split),
        {name: place for place, (_, name) in enumerate(split)},
    )


def is_hidden(name: str) -> bool:
    """Whether a system put this file or folder there, not the user."""
    return name.startswith(".") or name == "__MACOSX"


def is_image(name: str) -> bool:
    """Whether Pillow knows how to open files with this ending."""
    return f".{name.rpartition('.')[2].lower()}" in _image_endings()


@cache
def _image_endings() -> frozenset[str]:
    from PIL import Image

    Image.preinit()  # loads JPEG and its like first, so that they are also tried first
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN)
