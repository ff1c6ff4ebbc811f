"""Persons in COCO's images: from its annotations, or from a file of detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, RootModel

from evaluators.data.coco import CocoCategory, CocoSet
from evaluators.data.coco_boxes import BEYOND, boxes_to_train, note_boxes
from evaluators.data.tally import Tally
from foundation.config import parse_json, read_text
from foundation.errors import InputError
from foundation.reading import DATA_BYTES

NUM_KEYPOINTS = 17
"""Keypoints of a person in COCO; its evaluation knows no other number."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person in an image.

    Attributes:
        image: Number of the image in its set.
        box: Left, top, width and height in pixels.
        score: Score that the detector gave; 1 for an annotation.
        points: x and y of each keypoint, (17, 2); zeros where not labelled.
        labelled: Whether each is, (17,).
    """

    image: int
    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float32]
    labelled: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class People:
    """A part of the data to evaluate: the images with their annotations, and the persons to look at."""

    coco: CocoSet
    people: Sequence[Person]


def person_category(coco: CocoSet) -> CocoCategory:
    """The category that has keypoints.

    Raises:
        InputError: If there is none with COCO's 17 keypoints, or several: the score would be a mean over
            them, and one network knows one of them.
    """
    found = [category for category in coco.categories if len(category.keypoints) == NUM_KEYPOINTS]
    if len(found) > 1:
        named = " and ".join(f"{category.name} ({category.id})" for category in found)
        raise InputError(
            f"{coco.file} has {len(found)} categories with keypoints: {named}; one is trained: "
            "give all persons one category, or a file for each"
        )
    if found:
        return found[0]
    counts = ", ".join(f"{category.name} {len(category.keypoints)}" for category in coco.categories[:5])
    raise InputError(
        f"{coco.file} has no category with the {NUM_KEYPOINTS} keypoints of COCO's persons ({counts}); "
        "give person_keypoints_*.json"
    )


def annotated_people(coco: CocoSet, tally: Tally | None = None) -> list[Person]:
    """Everyone with a labelled keypoint: no crowds, no boxes of no area, boxes cut at the image's borders.

    Source: the authors' code of Xiao et al. leaves out the same, for training and for evaluation by the
    annotated boxes; those left out are ignored by the evaluation.

    Args:
        coco: The images.
        tally: The tally that counts who is used and who is left out.

    Raises:
        InputError: If an annotation has another number of keypoints.
    """
    person = person_category(coco)
    tally = coco.tally("persons") if tally is None else tally
    people = list[Person]()
    for number, image in enumerate(coco.images):
        for annotation in boxes_to_train(image, coco.annotations[number], tally):
            if annotation.category_id != person.id:
                tally.pass_over("of another category")
                continue
            if not annotation.keypoints:
                tally.leave_out("without keypoints")
                continue
            if len(annotation.keypoints) != 3 * NUM_KEYPOINTS:
                raise InputError(
                    f"{coco.file}: annotation {annotation.id} has {len(annotation.keypoints)} numbers for "
                    f"keypoints, not 3 x {NUM_KEYPOINTS}"
                )
            points = np.asarray(annotation.keypoints, dtype=np.float32).reshape(NUM_KEYPOINTS, 3)
            labelled = points[:, 2] > 0
            if labelled.any():
                x, y = points[labelled, :2].T
                inside = (x >= -BEYOND) & (y >= -BEYOND) & (x <= image.width) & (y <= image.height)
                tally.note("with keypoints outside of their images", count=int(not inside.all()))
                positions = points[:, :2] * labelled[:, None]
                people.append(Person(number, annotation.bbox, 1.0, positions, labelled))
            else:
                tally.leave_out("without a labelled keypoint")
        of_persons = [one for one in coco.annotations[number] if one.category_id == person.id]
        note_boxes(image, of_persons, tally)
    tally.used = len(people)
    return people


@dataclass(frozen=True)
class _Detection:
    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


class _Detections(RootModel[list[_Detection]]):
    """A file of them."""


def detected_people(coco: CocoSet, file: str | Path) -> list[Person]:
    """The persons of a file of detections in COCO's result format.

    Other categories, boxes of no area and images that are not in the set are left out.

    Raises:
        InputError: If the file is missing, is not such a file, or nobody is left.
    """
    text = read_text(file, "file of detections", DATA_BYTES)
    try:
        found = parse_json(_Detections, text, str(file)).root
    except InputError as error:
        raise InputError(
            f"{error}; expected COCO's result format: a list with image_id, category_id, bbox, score"
        ) from None
    person = person_category(coco).id
    numbers = {image.id: number for number, image in enumerate(coco.images)}
    people = [
        Person(
            numbers[one.image_id],
            one.bbox,
            one.score,
            np.zeros((NUM_KEYPOINTS, 2), np.float32),
            np.zeros(NUM_KEYPOINTS, bool),
        )
        for one in found
        if one.category_id == person and one.image_id in numbers and one.bbox[2] > 0 and one.bbox[3] > 0
    ]
    tally = Tally(Path(file).name, "detections", used=len(people))
    for one in found:
        if one.category_id != person:
            tally.pass_over("of another category")
        elif one.image_id not in numbers:
            tally.leave_out(f"of images that {coco.file.name} does not list, or the limit leaves out")
        elif not (one.bbox[2] > 0 and one.bbox[3] > 0):
            tally.leave_out("of no area")
    if not people:
        raise InputError(
            f"none of the {len(found)} detections in {file} is a person (category {person}) in an image of "
            f"{coco.file.name}"
        )
    tally.report()
    return people
