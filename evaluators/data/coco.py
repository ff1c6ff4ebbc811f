"""Images and annotations in COCO's layout: `root/annotations/<kind>_<part>.json` and `root/<part>/<image>`.

Format: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014 (arXiv:1405.0312). The list of
images is that of the annotation file in use, never that of the folder. Segmentations are left out: no task
here needs them.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.data.coco_boxes import boxes_to_train, note_boxes, refuse_shares, strange_area
from evaluators.data.coco_file import CocoAnnotation, CocoCategory, CocoImage, Kind, read_file
from evaluators.data.index import composed
from evaluators.data.listing import Listing, digest
from evaluators.data.tally import Tally
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from foundation.seeds import seed_of

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)


LOOKED_AT = 8
"""Images of a part whose sizes are looked at before training; the others when their turn comes."""


@config
class CocoData:
    """Images and annotations in COCO's layout."""

    root: str | None = None
    """Path of the folder that holds `annotations` and a folder of images for each part."""
    train: str = "train2017"
    """Name of the part to train on, as in the names of its folder and annotation file."""
    test: str = "val2017"
    """Name of the part to evaluate at the end; COCO's own test part has no public annotations."""
    skip_missing: bool = False
    """Leave out images that are listed but absent; otherwise they are an error."""
    limit: int | None = None
    """The most images to use of each part, the first ones listed; all if left out."""

    def __post_init__(self) -> None:
        rules.positive(self, "limit")


@dataclass(frozen=True, eq=False)
class CocoSet:
    """One part of a data set; never changed in place.

    Attributes:
        file: The annotation file.
        folder: Where the images are.
        images: In the order of the file.
        annotations: Those of each image, in the order of the file.
        categories: Sorted by id.
        unlisted: Annotations in the file that are of no image in it; not those of a selection.
        listing: What was there and in use when the part was read, whatever is selected.
    """

    file: Path
    folder: Path
    images: tuple[CocoImage, ...]
    annotations: tuple[tuple[CocoAnnotation, ...], ...]
    categories: tuple[CocoCategory, ...]
    unlisted: int = 0
    listing: Listing = field(default_factory=lambda: Listing({}))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> dict[int, int]:
        """Category id to its index in `categories`, counted from 0: without COCO's gaps."""
        return {category.id: label for label, category in enumerate(self.categories)}

    def path(self, index: int) -> Path:
        """The file of an image."""
        return self.folder / self.images[index].file_name

    def select(self, indices: Sequence[int]) -> CocoSet:
        """The images at `indices`, in that order."""
        return replace(
            self,
            images=tuple(self.images[index] for index in indices),
            annotations=tuple(self.annotations[index] for index in indices),
            unlisted=0,
        )

    def truth(self) -> dict[str, Any]:
        """The annotations as COCO's evaluation takes them.

        Ids count from 1, in the order of the file's: the evaluation takes 0 for "not found". An area that is
        not given, or cannot be, is the box's. Where a category has keypoints, annotations without them have
        none labelled.
        """
        marked = [annotation for found in self.annotations for annotation in found]
        numbers = {id: number for number, id in enumerate(sorted(one.id for one in marked), 1)}
        points = max((len(category.keypoints) for category in self.categories), default=0)
        return {
            "images": [
                {"id": image.id, "width": image.width, "height": image.height} for image in self.images
            ],
            "categories": [{"id": category.id, "name": category.name} for category in self.categories],
            "annotations": [_record(annotation, numbers[annotation.id], points) for annotation in marked],
        }

    def tally(self, what: str) -> Tally:
        """A new tally to count what is used; annotations of unlisted images are left out in it already.

        Args:
            what: The word for what is counted, in plural.
        """
        tally = Tally(self.file.name, what)
        if self.unlisted:
            tally.leave_out("of images that are not listed", count=self.unlisted)
        return tally

    def boxes(self) -> Tally:
        """Counts the boxes to train on, and what is left out."""
        tally, seen = self.tally("boxes"), set[int]()
        for image, marked in zip(self.images, self.annotations):
            kept = boxes_to_train(image, marked, tally)
            tally.used += len(kept)
            note_boxes(image, marked, tally)
            seen.update(annotation.category_id for annotation in kept)
        for category in self.categories:
            if category.id not in seen:
                tally.pass_over("a category without a box", category.name)
        return tally

    def need_objects(self) -> None:
        """Checks that there is something to score.

        Raises:
            InputError: If no annotation counts: there are none, or crowds alone.
        """
        if not any(not annotation.iscrowd for found in self.annotations for annotation in found):
            raise InputError(
                f"the {len(self)} images in use of {self.file.name} have no object, so there is nothing to "
                "score; give others"
            )


def read_coco(data: CocoData, kind: Kind, part: str) -> CocoSet:
    """Reads one part.

    Boxes of no area stay: COCO's evaluation counts them, training leaves them out (`boxes_to_train`).
    Annotations of images that are not listed are left out, as COCO's own tools do, and counted.

    Raises:
        InputError: If the file is missing, no JSON or of another kind, an id is there twice, a category is
            not listed, or images are absent; says which.
    """
    if data.root is None:
        raise InputError("give data.root: the folder that holds `annotations` and the images of COCO")
    root = Path(data.root).expanduser()
    file = root / "annotations" / f"{kind}_{part}.json"
    content, written = read_file(file, kind)
    listed = {image.id: list[CocoAnnotation]() for image in content.images}
    unlisted = 0
    for annotation in content.annotations:
        if annotation.image_id in listed:
            listed[annotation.image_id].append(annotation)
        else:
            unlisted += 1
    whole = CocoSet(
        file=file,
        folder=root / part,
        images=tuple(content.images),
        annotations=tuple(tuple(listed[image.id]) for image in content.images),
        categories=tuple(sorted(content.categories, key=lambda category: category.id)),
    )
    refuse_shares(whole.file, whole.images, whole.annotations)
    found = _present(whole, skip=data.skip_missing)
    if data.limit is not None:
        found = found.select(range(min(data.limit, len(found))))
    _look_at(found)
    return replace(found, unlisted=unlisted, listing=_listing(found, written))


def look(data: CocoData, kind: Kind) -> str:
    """What `read_coco` would read of the training part and the test part, in a few words.

    Raises:
        InputError: If a file of annotations or a folder of images is missing.
    """
    root = Path(data.root or "")
    for part in (data.train, data.test):
        file, folder = root / "annotations" / f"{kind}_{part}.json", root / part
        if not file.is_file():
            raise InputError(f"no annotations at {file}")
        if not folder.is_dir():
            raise InputError(f"no folder of images at {folder}")
    return f"{data.train} and {data.test}, {kind}"


def _look_at(found: CocoSet) -> None:
    """Compares the sizes of a few images with what the file says, so that hours of training do not end there.

    Raises:
        InputError: If an image cannot be decoded, or has another size.
    """
    from evaluators.data.picture import check_size

    count = min(LOOKED_AT, len(found))
    for number in (part * len(found) // count for part in range(count)):
        image = found.images[number]
        check_size(found.path(number), (image.width, image.height))


def _listing(found: CocoSet, written: str) -> Listing:
    """What a run compares when it goes on: the annotations, and the images in use."""
    marked = Counter(one.category_id for annotations in found.annotations for one in annotations)
    counts = {"images in use": len(found)}
    counts |= {f"annotations of {one.name}": marked[one.id] for one in found.categories if marked[one.id]}
    facts = (
        f"{composed(image.file_name)}\0{found.path(number).stat().st_size}"
        for number, image in enumerate(found.images)
    )
    digests = {f"content of {found.file.name}": written, "names and sizes of the images": digest(facts)}
    return Listing(counts, digests)


def _present(listed: CocoSet, *, skip: bool) -> CocoSet:
    if not listed.folder.is_dir():
        raise InputError(f"no folder of images at {listed.folder}, which {listed.file.name} is about")
    names = set(os.listdir(listed.folder))
    listed = _as_stored(listed, names)
    there = [
        index
        for index, image in enumerate(listed.images)
        # One listing is fast; only names within folders of their own, or odd ones, are looked up alone.
        if image.file_name in names or listed.path(index).is_file()
    ]
    missing = len(listed) - len(there)
    if not missing:
        return listed
    absent = sorted(set(range(len(listed))) - set(there))
    named = ", ".join(listed.images[index].file_name for index in absent[:3])
    message = (
        f"{missing} of the {len(listed)} images of {listed.file.name} are not in {listed.folder}: "
        f"{named}{' ...' if missing > 3 else ''}"
    )
    if not skip or not there:
        raise InputError(f"{message}; add them{', or leave them out by skip_missing' if there else ''}")
    log.warning("%s; they are left out", message)
    return listed.select(there)


def _as_stored(listed: CocoSet, names: set[str]) -> CocoSet:
    """Images under the names that they have in the folder, where only accents are written in another way."""
    if all(image.file_name.isascii() or image.file_name in names for image in listed.images):
        return listed
    stored = {composed(name): name for name in names}
    images = tuple(
        image
        if image.file_name in names
        else replace(image, file_name=stored.get(composed(image.file_name), image.file_name))
        for image in listed.images
    )
    return replace(listed, images=images)


def held_out(whole: CocoSet, fraction: float) -> tuple[CocoSet, CocoSet]:
    """Splits a set at random, the same way every time.

    Returns:
        The images to train on, and the share `fraction` of them, at least one, that is held out.

    Raises:
        InputError: If nothing would be left to train on.
    """
    import torch  # slow, and settings are read without

    count = max(1, round(fraction * len(whole)))
    if count >= len(whole):
        raise InputError(f"{len(whole)} images are too few to hold out a share of {fraction}; set it to 0")
    generator = torch.Generator().manual_seed(seed_of(0, "held out"))
    order = torch.randperm(len(whole), generator=generator).tolist()
    rest, held = whole.select(sorted(order[count:])), whole.select(sorted(order[:count]))
    return replace(rest, unlisted=whole.unlisted), held


def first_pictures(data: CocoData, kind: Kind, number: int) -> list[Image.Image]:
    """A few images of the test part.

    Raises:
        InputError: If the data cannot be read.
    """
    from evaluators.data.picture import open_rgb

    test = read_coco(data, kind, data.test)
    return [open_rgb(test.path(index)) for index in range(min(number, len(test)))]


def _record(annotation: CocoAnnotation, number: int, points: int) -> dict[str, Any]:
    area = annotation.bbox[2] * annotation.bbox[3] if strange_area(annotation) else annotation.area
    record: dict[str, Any] = {
        "id": number,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "bbox": list(annotation.bbox),
        "area": area,
        "iscrowd": annotation.iscrowd,
    }
    if points or annotation.keypoints:
        record["keypoints"] = list(annotation.keypoints or (0.0,) * (3 * points))
        record["num_keypoints"] = annotation.labelled
    return record
