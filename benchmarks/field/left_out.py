"""C: what is read and not used is counted, with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.field.cells import tried
from benchmarks.field.jobs import COCO, DATA, PART, annotate
from benchmarks.field.work import Work

ROOT = Path(DATA)


@tried("C", "images without an object", "detection")
def _(work: Work, column: str) -> str:
    work.data(column)

    def drop(content: dict[str, Any]) -> None:
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in (0, 1)]

    annotate(column, ROOT, drop)
    words = [word for word in work.words(column) if word != "--smoke"]
    words += ["--weights", "None", "--workers", "0", "--train.epochs", "1", "--train.batch-size", "2"]
    words += ["--train.warmup-epochs", "0", "--train.validation-fraction", "0"]
    words += ["--train.schedule", "poly"]
    return work.refused_or_right(*words, naming="2 without a box left out")


@tried("C", "boxes that reach beyond their pictures", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)

    def widen(content: dict[str, Any]) -> None:
        for one in content["annotations"]:
            x, y, w, h = one["bbox"]
            one["bbox"] = [x, y, x + w, y + h]  # corners, as VOC has them

    annotate(column, ROOT, widen)
    return work.refused_or_right(*work.words(column), naming="beyond")


@tried("C", "a class without a pixel", "segmentation")
def _(work: Work, column: str) -> str:
    work.data(column)
    for path in (ROOT / f"{PART}annot").iterdir():
        Image.fromarray(np.minimum(np.asarray(Image.open(path)), 1)).save(path)
    return work.refused_or_right(*work.words(column), naming="without a pixel")


@tried("C", "a category without a box", "detection")
def _(work: Work, column: str) -> str:
    work.data(column)
    annotate(column, ROOT, lambda content: content["categories"].append({"id": 9, "name": "hat"}))
    return work.refused_or_right(*work.words(column), naming="a category without a box: hat")


@tried("C", "annotations of pictures that are not listed", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)

    def drop(content: dict[str, Any]) -> None:
        del content["images"][3]

    annotate(column, ROOT, drop)
    return work.refused_or_right(*work.words(column), naming="2 of images that are not listed")


@tried("C", "persons of no area", "keypoints")
def _(work: Work, column: str) -> str:
    work.data(column)

    def shrink(content: dict[str, Any]) -> None:
        for one in content["annotations"][:3]:
            one["bbox"][2] = 0

    annotate(column, ROOT, shrink)
    return work.refused_or_right(*work.words(column), naming="3 of no area")


@tried("C", "all annotations are crowds", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)

    def gather(content: dict[str, Any]) -> None:
        for one in content["annotations"]:
            one["iscrowd"] = 1

    annotate(column, ROOT, gather)
    return work.refused(*work.words(column))
