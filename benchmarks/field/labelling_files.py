"""D: COCO files as labelling tools and scripts write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.field.cells import tried
from benchmarks.field.jobs import COCO, DATA, annotate, annotation_file
from benchmarks.field.work import Work

ROOT = Path(DATA)
Content = dict[str, Any]


def edited(
    case: str, naming: str | tuple[str, ...], *columns: str, right: bool = False
) -> Callable[[Callable[[Content], object]], None]:
    """Decorator for what a tool does to an annotation file: it is refused, or done and said."""

    def register(change: Callable[[Content], object]) -> None:
        def act(work: Work, column: str) -> str:
            work.data(column)
            annotate(column, ROOT, change)
            if right:
                work.done(*work.words(column))
                return "right"
            return work.refused_or_right(*work.words(column), naming=naming)

        tried("D", case, *columns or COCO)(act)

    return register


@edited("boxes in shares of the picture", "shares")
def _(content: Content) -> None:
    for one in content["annotations"]:
        x, y, w, h = one["bbox"]
        one["bbox"] = [x / 80, y / 64, w / 80, h / 64]


@edited("keypoints in shares of the picture", "shares", "keypoints")
def _(content: Content) -> None:
    for one in content["annotations"]:
        points = one["keypoints"]
        points[0::3], points[1::3] = [x / 80 for x in points[0::3]], [y / 64 for y in points[1::3]]


@edited("keypoints outside of their pictures", "outside", "keypoints")
def _(content: Content) -> None:
    for one in content["annotations"]:
        one["keypoints"][0::3] = [10 * x for x in one["keypoints"][0::3]]


@edited("seventeen keypoints that are not COCO's", "COCO's", "keypoints")
def _(content: Content) -> None:
    names = content["categories"][0]["keypoints"]
    content["categories"][0]["keypoints"] = [*names[1:], "pelvis"]


@edited("keypoints as a list of points", "keypoints", "keypoints")
def _(content: Content) -> None:
    for one in content["annotations"]:
        points = one["keypoints"]
        one["keypoints"] = [points[place : place + 3] for place in range(0, 51, 3)]


@edited("an area of 0 everywhere", "", right=True)
def _(content: Content) -> None:
    for one in content["annotations"]:
        one["area"] = 0


@edited("an area below 0", "", right=True)
def _(content: Content) -> None:
    for one in content["annotations"]:
        one["area"] = -1.0


@edited("an area of a million for small boxes", "area")
def _(content: Content) -> None:
    for one in content["annotations"]:
        one["area"] = 1e6


@edited("iscrowd is false or missing", "", right=True)
def _(content: Content) -> None:
    for number, one in enumerate(content["annotations"]):
        if number % 2:
            one["iscrowd"] = False
        else:
            del one["iscrowd"]


@edited("identities are texts of digits", "", right=True)
def _(content: Content) -> None:
    for one in content["annotations"]:
        one["image_id"], one["id"] = str(one["image_id"]), str(one["id"])


@edited("boxes are null or empty", "bbox")
def _(content: Content) -> None:
    content["annotations"][5]["bbox"] = []


@edited("the same box twice", "twice")
def _(content: Content) -> None:
    for one in list(content["annotations"]):
        content["annotations"].append(one | {"id": one["id"] + 100})


@edited("sizes of pictures are those of another resolution", "its annotation file says")
def _(content: Content) -> None:
    for image in content["images"]:
        image["width"], image["height"] = 160, 128


@edited("file names with the folder in front", "are not in")
def _(content: Content) -> None:
    for image in content["images"]:
        image["file_name"] = f"few/{image['file_name']}"


@edited("file names in another case", "are not in")
def _(content: Content) -> None:
    for image in content["images"]:
        image["file_name"] = image["file_name"].upper()


@edited("two images of one file name", "listed twice")
def _(content: Content) -> None:
    content["images"][1]["file_name"] = content["images"][0]["file_name"]


@edited("a category that annotations do not know", "category")
def _(content: Content) -> None:
    content["categories"][0]["id"] = 2


@tried("D", "two lists of annotations in one file", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)
    file = annotation_file(column, ROOT)
    text = file.read_text()
    file.write_text(text[:-1] + ', "annotations": []}')
    return work.refused(*work.words(column), naming="annotations")


@tried("D", "a file of COCO's results in place of annotations", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)
    annotation_file(column, ROOT).write_text(
        '[{"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]'
    )
    return work.refused(*work.words(column), naming="expected COCO's")


@tried("D", "an annotation file in UTF-16", *COCO)
def _(work: Work, column: str) -> str:
    work.data(column)
    file = annotation_file(column, ROOT)
    file.write_bytes(file.read_text().encode("utf-16"))
    return work.refused(*work.words(column), naming=file.name)
