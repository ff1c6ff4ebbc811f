"""Images with a class for every pixel: pairs of files in two folders, or in the layout of Cityscapes.

Layout and classes of Cityscapes: Cordts et al., CVPR 2016 (arXiv:1604.01685), as torchvision lists them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluators.data.index import composed
from evaluators.data.label_picture import read_numbers
from evaluators.data.listing import Listing, digest
from evaluators.data.picture import open_rgb
from evaluators.data.tally import Tally
from evaluators.data.walk import walk
from evaluators.tasks.segmentation.data import IGNORED, SceneData
from foundation.errors import InputError
from foundation.reading import check_regular

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

LOOKED_AT = 8
"""Label files of a part whose values are looked at before training; the others when their turn comes."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """One part of a data set; never changed in place.

    Attributes:
        pairs: Files of each image and of its labels.
        classes: Names.
        values: Class of every value that a label file may have, `IGNORED` for none; -1 where there may be no
            such value. Longer than any byte, and the last is -1.
        image_size: Height and width to resize to; None for none.
        listing: What was there, whatever is selected.
    """

    pairs: tuple[tuple[Path, Path], ...]
    classes: tuple[str, ...]
    values: NDArray[np.int16]
    image_size: tuple[int, int] | None = None
    listing: Listing = field(default_factory=lambda: Listing({}))

    def __len__(self) -> int:
        return len(self.pairs)

    def select(self, indices: Sequence[int]) -> Scenes:
        """The images at `indices`, in that order."""
        return replace(self, pairs=tuple(self.pairs[index] for index in indices))

    def picture(self, index: int) -> Image.Image:
        """An image as RGB.

        Raises:
            InputError: If it cannot be decoded.
        """
        from PIL import Image

        picture = open_rgb(self.pairs[index][0])
        if self.image_size is None:
            return picture
        height, width = self.image_size
        return picture.resize((width, height), Image.Resampling.BILINEAR)

    def labels(self, index: int) -> Image.Image:
        """The class of every pixel of an image, as 8-bit values, `IGNORED` for none.

        Raises:
            InputError: If the file cannot be decoded, has colours, or a value that is no class.
        """
        from PIL import Image

        path = self.pairs[index][1]
        found = read_numbers(path)
        # Bytes are looked up as they are, for speed; others may be beyond the table, whose last is no class.
        indices = found if found.dtype == np.uint8 else np.clip(found, -1, len(self.values) - 1)
        classes = self.values[indices]
        wrong = classes < 0
        if wrong.any():
            raise InputError(
                f"{path} has the value {int(found[wrong][0])}, which is neither one of the "
                f"{len(self.classes)} classes ({self._numbers()}) nor ignored; "
                "set num_classes, values or ignore"
            )
        labels = Image.fromarray(classes.astype(np.uint8))
        if self.image_size is None:
            return labels
        height, width = self.image_size
        return labels.resize((width, height), Image.Resampling.NEAREST)

    def _numbers(self) -> str:
        given = np.flatnonzero((self.values >= 0) & (self.values != IGNORED)).tolist()
        if given == list(range(len(self.classes))):
            return f"0 to {len(self.classes) - 1}"
        return f"{' '.join(map(str, given[:5]))}{' ...' if len(given) > 5 else ''}"


def read_scenes(data: SceneData, part: str) -> Scenes:
    """Lists one part: all sizes are compared, a few labels are read, the rest when their turn comes.

    Raises:
        InputError: If folders, images or labels are missing (named, counted), an image and its labels
            differ in size, or labels are no classes.
    """
    if data.root is None:
        raise InputError("give data.root: the folder that holds the images and their labels")
    of_images, of_labels = folders_of(data, part)
    if data.layout == "cityscapes":
        classes, values = _cityscapes()
        images = _files(of_images, "_leftImg8bit", "images")
        labels = _files(of_labels, "_gtFine_labelIds", "labels")
    else:
        classes, values = _numbered(data)
        images = _files(of_images, "", "images")
        labels = _files(of_labels, "", "labels")
    missing = sorted(set(images) - set(labels))
    if missing:
        named = ", ".join(images[name].name for name in missing[:3])
        raise InputError(
            f"{len(missing)} of {len(images)} images of {part!r} have no labels: "
            f"{named}{' ...' if len(missing) > 3 else ''}; add the labels or remove the images"
        )
    tally = Tally(str(Path(labels[min(labels)]).parent), "labels", used=len(images))
    for name in sorted(set(labels) - set(images)):
        tally.leave_out("without an image", labels[name].name)
    tally.report()
    names = sorted(images)
    listing = Listing({"pictures": len(names)}, _digests(names, images, labels))
    if data.limit is not None and data.limit < len(names):
        names = [names[number * len(names) // data.limit] for number in range(data.limit)]
    pairs = tuple((images[name], labels[name]) for name in names)
    _check_sizes(pairs, part)
    scenes = Scenes(pairs, classes, values, data.image_size, listing)
    _look_at(scenes)
    log.debug("%s: %d images, %d classes", part, len(scenes), len(classes))
    return scenes


def folders_of(data: SceneData, part: str) -> tuple[Path, Path]:
    """The folder of a part's images and that of its labels."""
    root = Path(data.root or "").expanduser()
    if data.layout == "cityscapes":
        return root / "leftImg8bit" / part, root / "gtFine" / part
    return root / data.images.format(part=part), root / data.labels.format(part=part)


def look(root: Path) -> str:
    """What `read_scenes` would read of a folder, in a few words, without opening an image.

    Raises:
        InputError: If the folder of images or labels of a part is missing.
    """
    for data in (SceneData(root=str(root)), SceneData(root=str(root), layout="cityscapes")):
        folders = [folder for part in (data.train, data.test) for folder in folders_of(data, part)]
        if all(folder.is_dir() for folder in folders):
            return f"{data.train} and {data.test}, --data.layout {data.layout}"
    usual = SceneData(root=str(root))
    folders = [folder for part in (usual.train, usual.test) for folder in folders_of(usual, part)]
    lacking = next(folder for folder in folders if not folder.is_dir())
    raise InputError(f"no folder {lacking}; say by --data.images and --data.labels where yours are")


def _digests(names: Sequence[str], images: dict[str, Path], labels: dict[str, Path]) -> dict[str, str]:
    """What a run compares when it goes on."""
    return {
        f"names and sizes of the {what}": digest(f"{name}\0{files[name].stat().st_size}" for name in names)
        for what, files in (("pictures", images), ("labels", labels))
    }


def _look_at(scenes: Scenes) -> None:
    """Reads a few labels; all of them only where those hold one class, and the rest is ignored.

    Raises:
        InputError: If a label is no class, or all labels hold less than two classes beside ignored pixels:
            there is nothing to learn.
    """
    count = min(LOOKED_AT, len(scenes))
    first = [number * len(scenes) // count for number in range(count)]
    seen = set[int]()
    for number in first:
        seen.update(np.unique(np.asarray(scenes.labels(number))).tolist())
    if len(scenes.classes) == 1 or IGNORED not in seen:
        return
    for number in range(len(scenes)):
        if len(seen) > 2:
            return
        seen.update(np.unique(np.asarray(scenes.labels(number))).tolist())
    if len(seen) > 2:
        return
    ignored = np.flatnonzero(scenes.values == IGNORED).tolist()
    wanted = np.unique(read_numbers(scenes.pairs[0][1])).tolist()
    raise InputError(
        f"labels in {scenes.pairs[0][1].parent} hold one class at most, all other pixels are ignored "
        f"(value {' '.join(map(str, ignored[:5]))}); if those are a class, give the value of each "
        f"class, such as --data.values {' '.join(map(str, wanted[:5]))}"
    )


def _numbered(data: SceneData) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    count = len(data.classes) or data.num_classes or len(data.values)
    if not count:
        raise InputError("give data.num_classes (or the names, data.classes): the labels do not say it")
    if count > IGNORED:
        raise InputError(f"{count} classes; at most {IGNORED} are possible")
    numbers = data.values or tuple(range(count))
    values = np.full(max(256, data.ignore + 1, *(number + 1 for number in numbers)) + 1, -1, dtype=np.int16)
    if data.ignore >= 0:
        values[data.ignore] = IGNORED
    values[list(numbers)] = np.arange(count)
    return data.classes or tuple(map(str, range(count))), values


def _cityscapes() -> tuple[tuple[str, ...], NDArray[np.int16]]:
    from torchvision.datasets import Cityscapes

    kept = sorted((one.train_id, one.name) for one in Cityscapes.classes if 0 <= one.train_id < IGNORED)
    values = np.full(257, -1, dtype=np.int16)
    for one in Cityscapes.classes:
        if one.id >= 0:
            values[one.id] = one.train_id if 0 <= one.train_id < IGNORED else IGNORED
    return tuple(name for _, name in kept), values


def _files(folder: Path, ending: str, what: str) -> dict[str, Path]:
    """Image files in a folder and below it, by their relative names without `ending` and suffix."""
    if not folder.is_dir():
        raise InputError(
            f"no folder of {what} at {folder}; is data.layout (folders, cityscapes) as it should be?"
        )
    found, listed = dict[str, Path](), walk(folder)
    for name in (each.name for each in listed.files):
        path = folder / name
        if not path.stem.endswith(ending):
            if what == "images":  # labels of other kinds lie beside those of Cityscapes that are read
                listed.tally.pass_over(f"whose names do not end in {ending}", name)
            continue
        key = Path(composed(name)).with_name(composed(path.stem).removesuffix(ending)).as_posix()
        if key in found:
            raise InputError(f"{found[key]} and {path} are two {what} of one name; remove one")
        found[key] = path
    listed.tally.used = len(found)
    listed.tally.report()
    if not found:
        raise InputError(f"no {what} in {folder}{f' that end in {ending}' if ending else ''}")
    return found


def _check_sizes(pairs: Sequence[tuple[Path, Path]], part: str) -> None:
    from PIL import Image

    different = list[str]()
    for picture, labels in pairs:
        sizes = list[tuple[int, int]]()
        for path in (picture, labels):
            check_regular(path, "image")
            try:
                with Image.open(path) as file:
                    sizes.append(file.size)
            except Exception as error:  # as above
                raise InputError(f"cannot decode {path} ({error}); replace or remove it") from error
        if sizes[0] != sizes[1]:
            ours, theirs = ("x".join(map(str, size)) for size in sizes)
            different.append(f"{picture.name} is {ours} pixels, its labels {theirs}")
    if different:
        raise InputError(
            f"{len(different)} of {len(pairs)} images of {part!r} differ in size from their labels: "
            f"{different[0]}"
        )
