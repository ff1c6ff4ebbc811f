"""E: label pictures of every format and depth are read to the numbers that they store, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.field.cells import tried
from benchmarks.field.jobs import DATA, PART
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

ROOT = Path(DATA)
Labels = NDArray[np.uint8]


def stored(
    case: str, suffix: str, naming: str | None = None
) -> Callable[[Callable[[Labels, Path], None]], None]:
    """Decorator for a way to store labels: read as they are, or refused with a line."""

    def register(store: Callable[[Labels, Path], None]) -> None:
        def act(work: Work, column: str) -> str:
            from evaluators.tasks.segmentation.data import SceneData
            from evaluators.tasks.segmentation.scenes import read_scenes

            work.data(column)
            labels = list[Labels]()
            for path in sorted((ROOT / f"{PART}annot").iterdir()):
                labels.append(np.asarray(Image.open(path)))
                path.unlink()
                store(labels[-1], path.with_suffix(suffix))
            if naming is not None:
                return work.refused(*work.words(column), naming=naming)
            scenes = read_scenes(SceneData(root=str(ROOT), num_classes=3), PART)
            for number, wanted in enumerate(labels):
                found = np.asarray(scenes.labels(number))
                expect(bool((found == wanted).all()), f"{suffix}: other classes than stored")
            work.done(*work.words(column))
            return "right: every pixel"

        tried("E", case, "segmentation")(act)

    return register


@stored("JPEG, which changes the numbers", ".jpg", "JPEG")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(np.where(labels > 0, labels, 0)).resize((80, 64)).save(path, quality=95)


@stored("PGM whose largest value is 2", ".pgm")
def _(labels: Labels, path: Path) -> None:
    path.write_bytes(b"P5 80 64 2\n" + labels.tobytes())


@stored("PGM in text, whose largest value is 20", ".pgm")
def _(labels: Labels, path: Path) -> None:
    path.write_text("P2 80 64 20\n" + "\n".join(" ".join(map(str, row)) for row in labels.tolist()))


@stored("PGM whose largest value is 1000", ".pgm")
def _(labels: Labels, path: Path) -> None:
    path.write_bytes(b"P5 80 64 1000\n" + labels.astype(">u2").tobytes())


@stored("TIFF of 16 bits", ".tif")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels.astype(np.uint16)).save(path)


@stored("TIFF of 32 bits", ".tif")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels.astype(np.int32)).save(path)


@stored("TIFF of real numbers", ".tif", "is F")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels.astype(np.float32)).save(path)


@stored("TIFF of several pages", ".tif", "pages")
def _(labels: Labels, path: Path) -> None:
    first = Image.fromarray(labels)
    first.save(path, save_all=True, append_images=[Image.fromarray(2 - labels)])


@stored("GIF", ".gif")
def _(labels: Labels, path: Path) -> None:
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path, optimize=False)


@stored("BMP of 8 bits with a palette", ".bmp")
def _(labels: Labels, path: Path) -> None:
    image = Image.fromarray(labels, "P")
    image.putpalette([9, 9, 9, 255, 0, 0, 0, 255, 0])
    image.save(path)


@stored("PNG with a palette of two bits", ".png")
def _(labels: Labels, path: Path) -> None:
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path, bits=2)


@stored("PNG of grey with a transparent value", ".png")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels).save(path, transparency=0)


@stored("grey with an alpha channel", ".png", "is LA")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels).convert("LA").save(path)


@stored("grey stored in three channels", ".png", "is RGB")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels).convert("RGB").save(path)


@stored("TGA", ".tga")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels).save(path)


@stored("numbers of classes that count from 1", ".png", "has the value 3")
def _(labels: Labels, path: Path) -> None:
    Image.fromarray(labels + 1).save(path)
