"""B: folders of pictures that are nearly laid out as they should be."""

from __future__ import annotations

import shutil
import unicodedata
import zipfile
from pathlib import Path

from benchmarks.field.cells import tried
from benchmarks.field.jobs import DATA, PART, WORDS, picture
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

ROOT = Path(DATA)
READERS = ("search", "classification", "imagenet")


def classes(folder: Path, names: str = "ab", each: int = 12, suffix: str = "png") -> None:
    """Writes a folder a class."""
    for name in names:
        for number in range(each):
            picture(folder / name / f"{number}.{suffix}", number)


def parts(column: str) -> Path:
    """Where the class folders are that are trained on, with what a column needs beside it."""
    if column == "imagenet":
        classes(ROOT / "val", each=2)
        return ROOT / "train"
    return ROOT


@tried("B", "pictures beside their masks are no two classes", *READERS)
def _(work: Work, column: str) -> str:
    classes(parts(column) / "x")
    for name, word in (("a", "images"), ("b", "masks")):
        (parts(column) / "x" / name).rename(parts(column) / word)
    (parts(column) / "x").rmdir()
    if column == "imagenet":
        for name, word in (("a", "images"), ("b", "masks")):
            (ROOT / "val" / name).rename(ROOT / "val" / word)
    return work.refused(*work.words(column), naming="masks")


@tried("B", "two data sets side by side", *READERS)
def _(work: Work, column: str) -> str:
    for name in ("first", "second"):
        classes(parts(column) / name, "cd")
        if column == "imagenet":
            classes(ROOT / "val" / name, "cd", each=1)
    if column == "imagenet":
        for name in "ab":
            shutil.rmtree(ROOT / "val" / name)
    return work.refused_or_right(*work.words(column), naming="in deeper folders")


@tried("B", "parts under names of their own: train2017 beside val2017", *READERS)
def _(work: Work, column: str) -> str:
    classes(ROOT / "train2017")
    classes(ROOT / "val2017")
    return work.refused(*work.words(column), naming="train")


@tried("B", "train and val beside test2017", *READERS)
def _(work: Work, column: str) -> str:
    for part in ("train", "val", "test2017"):
        classes(ROOT / part)
    return work.refused_or_right(*work.words(column), naming="test2017")


@tried("B", "train and val beside test.zip", *READERS)
def _(work: Work, column: str) -> str:
    for part in ("train", "val"):
        classes(ROOT / part)
    with zipfile.ZipFile(ROOT / "test.zip", "w") as packed:
        packed.write(ROOT / "val" / "a" / "0.png", "test/a/0.png")
    return work.refused_or_right(*work.words(column), naming="test.zip")


@tried("B", "train is called Train and val VALIDATION", *READERS)
def _(work: Work, column: str) -> str:
    classes(ROOT / "Train")
    classes(ROOT / "VALIDATION", each=3)
    work.done(*work.words(column))
    listing = Path("run/data.json").read_text()
    expect('"images of class a": 3' in listing and '"images of class a": 12' in listing, "parts are mixed up")
    return "right"


@tried("B", "half of the pictures are HEIC, which Pillow does not read", *READERS)
def _(work: Work, column: str) -> str:
    classes(parts(column))
    for number in range(6):
        for name in "ab":
            path = parts(column) / name / f"{number}.png"
            path.rename(path.with_suffix(".HEIC"))
    return work.refused_or_right(*work.words(column), naming="cannot read")


@tried("B", "a class folder is called as another but for its accents", *READERS)
def _(work: Work, column: str) -> str:
    classes(parts(column))
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é")
        picture(parts(column) / name / f"{form}.png", 1)
        picture(parts(column) / name / f"{form}2.png", 2)
    work.done(*work.words(column))
    expect('"images of class \\u00e9": 4' in Path("run/data.json").read_text(), "two classes, or one lost")
    return "right: one class"


@tried("B", "links lead back, up and to what is there", *READERS)
def _(work: Work, column: str) -> str:
    classes(parts(column))
    (parts(column) / "a" / "up").symlink_to("..")
    (parts(column) / "b" / "also").symlink_to("../a")
    work.done(*work.words(column))
    expect('"images of class b": 12' in Path("run/data.json").read_text(), "pictures counted twice")
    return "right: each picture once"


@tried("B", "what systems leave behind", *READERS)
def _(work: Work, column: str) -> str:
    classes(parts(column))
    for name in (".AppleDouble", "@eaDir", "__MACOSX", ".ipynb_checkpoints", "a/.thumbnails", "a/@eaDir"):
        picture(parts(column) / name / "0.png", 1)
    picture(parts(column) / "a" / "._0.png", 1)
    work.done(*work.words(column))
    expect('"images of class a": 12' in Path("run/data.json").read_text(), "they count")
    return "right"


@tried("B", "val lacks a class", *READERS)
def _(work: Work, column: str) -> str:
    classes(ROOT / "train", "abc", each=4)
    classes(ROOT / "val", "ab", each=4)
    return work.refused_or_right(*work.words(column), naming=("without an image", "c"))


@tried("B", "labels lie beside pictures that nobody has", "segmentation")
def _(work: Work, column: str) -> str:
    work.data(column)
    for number in range(2):
        shutil.copy(ROOT / f"{PART}annot" / "0.png", ROOT / f"{PART}annot" / f"more{number}.png")
    return work.refused_or_right(*work.words(column), naming="without an image")


@tried("B", "labels are in a folder of pictures", "segmentation")
def _(work: Work, column: str) -> str:
    work.data(column)
    for number in range(4):
        (ROOT / f"{PART}annot" / f"{number}.png").rename(ROOT / PART / f"{number}_mask.png")
    (ROOT / f"{PART}annot").rmdir()
    return work.refused(*work.words(column), naming=f"{PART}annot")


@tried("B", "test and train are one folder by a link", "search", "classification", "imagenet")
def _(work: Work, column: str) -> str:
    classes(ROOT / "train")
    (ROOT / "val").symlink_to("train")
    return work.refused(*work.words(column), naming="val")


@tried("B", "the root is the training part alone", "imagenet")
def _(work: Work, column: str) -> str:
    classes(ROOT / "train")
    words = [f"{DATA}/train" if word == DATA else word for word in WORDS[column]]
    return work.refused(*words, "--out", "run", naming="train")
