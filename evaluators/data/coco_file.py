"""Annotation files of COCO: their records as written, read and checked.

Format: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014 (arXiv:1405.0312). Segmentations
are left out: no task here needs them.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluators.data.index import composed
from evaluators.data.listing import digest
from foundation.config import check_keys, parse_json
from foundation.errors import InputError
from foundation.reading import DATA_BYTES, read_bytes

Kind = Literal["instances", "person_keypoints"]
"""What an annotation file holds, as the official files are named."""

_TOLERANT = {"extra": "ignore", "allow_inf_nan": False}  # files of others have keys of their own


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image as an annotation file lists it.

    Attributes:
        id: Unique in the file.
        file_name: Within the part's folder.
        width: In pixels, as stored.
        height: In pixels, as stored.
    """

    __pydantic_config__ = _TOLERANT

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An object, or a crowd of them.

    Attributes:
        id: Unique in the file.
        image_id: Id of the image it is in.
        category_id: Id of its category.
        bbox: Left, top, width and height in pixels.
        area: Area of its mask, in square pixels; None where the file does not say.
        iscrowd: 1 for a region of many objects, which training leaves out and evaluation ignores.
        keypoints: x, y and visibility (0 not labelled, 1 hidden, 2 visible) of each keypoint, of persons.
    """

    __pydantic_config__ = _TOLERANT

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: Literal[0, 1] = 0
    keypoints: tuple[float, ...] | None = None

    @property
    def labelled(self) -> int:
        """How many keypoints are labelled, counted: files that say so themselves are often wrong."""
        return sum(visibility > 0 for visibility in (self.keypoints or ())[2::3])


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """What objects are.

    Attributes:
        id: Unique in the file; COCO's own have gaps.
        name: In words.
        keypoints: Names of the keypoints, of persons.
        skeleton: Pairs of keypoints, counted from 1, that a drawing joins.
    """

    __pydantic_config__ = _TOLERANT

    id: int
    name: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class CocoFile:
    """What an annotation file holds."""

    __pydantic_config__ = _TOLERANT

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


def read_file(file: Path, kind: Kind) -> tuple[CocoFile, str]:
    """Reads and checks one annotation file.

    Returns:
        What it holds, and a digest of its bytes.

    Raises:
        InputError: If the file is missing, no JSON or of another kind, an identity or key is there twice, or
            a category is not listed.
    """
    text = _bytes(file)
    if any(text.count(b'"%s"' % name) > 1 for name in (b"images", b"annotations", b"categories")):
        check_keys(text, str(file))  # as where two files were joined by hand; it takes its time
    try:
        content = parse_json(CocoFile, text, str(file))
    except InputError as error:
        raise InputError(f"{error}; expected COCO's {kind}: images, annotations, categories") from None
    _check(file, content)
    return content, digest([text])


def _bytes(file: Path) -> bytes:
    if not file.exists():
        beside = sorted(other.name for other in file.parent.glob("*.json"))
        there = f"there are: {', '.join(beside)}" if beside else "there is no annotation file beside it"
        raise InputError(f"no annotation file at {file}; {there}")
    return read_bytes(file, "file of annotations", DATA_BYTES).removeprefix(BOM_UTF8)


def _check(file: Path, content: CocoFile) -> None:
    for what in ("images", "annotations", "categories"):
        records: list[Any] = getattr(content, what)
        if not records and what != "annotations":
            raise InputError(f"{file} lists no {what}")
        twice = [id for id, count in Counter(record.id for record in records).items() if count > 1]
        if twice:
            raise InputError(f"{file}: id {twice[0]} is there twice among the {what}; ids have to be unique")
    files = Counter(composed(image.file_name) for image in content.images)
    if twice := [name for name, count in files.items() if count > 1]:
        raise InputError(f"{file}: image {twice[0]} is listed twice; file names have to be unique")
    used = {annotation.category_id for annotation in content.annotations}
    names = Counter(category.name for category in content.categories if category.id in used)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(f"{file}: two categories with annotations are called {twice[0]!r}; rename one")
    for category in content.categories:
        if len(set(category.keypoints)) < len(category.keypoints):
            raise InputError(f"{file}: category {category.name!r} has two keypoints of one name; rename one")
    categories = {category.id for category in content.categories}
    for annotation in content.annotations:
        if annotation.category_id not in categories:
            raise InputError(
                f"{file}: annotation {annotation.id} is of category {annotation.category_id}, "
                f"which is not among the {len(categories)} listed"
            )
    for image in content.images:
        if image.width < 1 or image.height < 1:
            raise InputError(f"{file}: image {image.id} is {image.width}x{image.height} pixels")
