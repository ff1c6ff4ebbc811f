"""Boxes of COCO's annotations: which of them teach, and which are odd.

Format: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014 (arXiv:1405.0312).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluators.data.coco_file import CocoAnnotation, CocoImage
from evaluators.data.tally import Tally
from foundation.errors import InputError

EPS = 2.0**-23
"""Step of float32 above 1."""

ROUNDINGS = 8
"""More than the steps that both sides of a box can be off, once it is read, mirrored and scaled."""


LARGEST_AREA = 1.5
"""Largest area of a mask, in that of its box, that rounding may explain."""

BEYOND = 1.0
"""Pixels that a box may reach beyond its image by rounding."""


def boxes_to_train(
    image: CocoImage, annotations: Sequence[CocoAnnotation], tally: Tally | None = None
) -> list[CocoAnnotation]:
    """What an image teaches: no crowds, no boxes of no area; boxes are cut at the image's borders.

    A box has an area if float32, in which images are scaled and mirrored, keeps its sides apart afterwards.

    Source: torchvision's reference detection recipe (references/detection/coco_utils.py) leaves out the same.

    Args:
        image: The image.
        annotations: What is on it.
        tally: The tally that counts what is left out; None counts nothing.
    """
    kept = list[CocoAnnotation]()
    least = ROUNDINGS * EPS * max(image.width, image.height)
    for annotation in annotations:
        x, y, w, h = annotation.bbox
        left, right = (min(max(edge, 0.0), float(image.width)) for edge in (x, x + w))
        top, bottom = (min(max(edge, 0.0), float(image.height)) for edge in (y, y + h))
        if not annotation.iscrowd and right - left > least and bottom - top > least:
            kept.append(replace(annotation, bbox=(left, top, right - left, bottom - top)))
        elif tally is not None:
            tally.leave_out("crowds" if annotation.iscrowd else "of no area within the image")
    return kept


def note_boxes(image: CocoImage, annotations: Sequence[CocoAnnotation], tally: Tally) -> None:
    """Counts in a tally which boxes of an image are used although they are odd."""
    real = [one for one in annotations if not one.iscrowd]
    for x, y, w, h in (one.bbox for one in real):
        if max(-x, -y, x + w - image.width, y + h - image.height) > BEYOND:
            tally.note("beyond their images and cut there (boxes are left, top, width and height)")
    tally.note("there twice", count=len(real) - len({(one.category_id, one.bbox) for one in real}))
    given = (one for one in real if one.area is not None)
    tally.note(
        "of an area that their boxes cannot hold, whose box's is taken", count=sum(map(strange_area, given))
    )


def strange_area(annotation: CocoAnnotation) -> bool:
    """Whether the area is not given or none that a mask in the box can have: then the box's is taken."""
    area, box = annotation.area, annotation.bbox[2] * annotation.bbox[3]
    return area is None or not 0 < area <= LARGEST_AREA * box + 1


def refuse_shares(
    file: Path, images: Sequence[CocoImage], annotations: Sequence[Sequence[CocoAnnotation]]
) -> None:
    """Refuses files whose boxes or keypoints are shares of the images, as other formats have them.

    Args:
        file: For the message.
        images: All of them.
        annotations: Those of each.

    Raises:
        InputError: If all of them lie within 0 to 1.
    """
    if max(max(image.width, image.height) for image in images) <= 1:
        return
    marked = [one for found in annotations for one in found]
    corners = (value for x, y, w, h in (one.bbox for one in marked) for value in (x, y, x + w, y + h))
    posed = [one.keypoints for one in marked if one.keypoints and one.labelled]
    coordinates = (value for points in posed for number, value in enumerate(points) if number % 3 < 2)
    for what, some, values in (("boxes", marked, corners), ("keypoints", posed, coordinates)):
        if some and all(value <= 1 for value in values):
            raise InputError(
                f"{file}: all {what} lie within 0 to 1, as shares of the images, and COCO's are in pixels: "
                "multiply them by width and height"
            )
