"""The persons of a training and of its evaluation, read and split by images."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data.coco import CocoSet, held_out, read_coco
from evaluators.data.even_split import even_halves
from evaluators.data.listing import Listing, digest, recorded
from evaluators.data.pixels import MEAN, STD
from evaluators.data.stream import Stream
from evaluators.metrics.coco import need_coco
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.keypoints.mirror import log_partners, mirror_partners
from evaluators.tasks.keypoints.oks import log_strangers
from evaluators.tasks.keypoints.people import (
    People,
    annotated_people,
    detected_people,
    person_category,
)
from evaluators.tasks.keypoints.person_crops import Jitter, PersonCrops, collate_crops
from evaluators.tasks.keypoints.training import KeypointTask
from foundation.errors import InputError
from foundation.reading import DATA_BYTES, read_bytes

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks.keypoints import Keypoints

log = logging.getLogger(__name__)


class KeypointSetting:
    """Annotations read and split by images; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the data cannot be read.
    """

    score: str = "AP"

    def __init__(self, config: Keypoints, train: TrainConfig, fabric: Fabric) -> None:
        need_coco()
        config.refuse_unused(train)
        self.config, self.recipe, self.fabric = config, train, fabric
        self.input_shape: tuple[int, int, int] = (3, *config.image_size)
        data = config.data
        learned, test = (read_coco(data, "person_keypoints", part) for part in (data.train, data.test))
        self.person = person_category(learned)
        tested = person_category(test)
        if (tested.id, tested.keypoints) != (self.person.id, self.person.keypoints):
            raise InputError(
                f"{test.file} has other keypoints, or another id of persons, than {learned.file}"
            )
        self.partners = mirror_partners(self.person.keypoints)
        log_strangers(self.person.keypoints)
        if config.flip or config.flip_test:
            log_partners(self.person.keypoints, self.partners)
        self.validation: People | None = None
        if train.validation_fraction:
            learned, held = held_out(learned, train.validation_fraction)
            self.validation = _annotated(held)
        self.listings = {"train": learned.listing, "test": test.listing}
        self.train = _annotated(learned)
        self.test = _annotated(test)
        if config.detections is not None:
            self.test = People(test, detected_people(test, config.detections))
            text = read_bytes(config.detections, "file of detections", DATA_BYTES)
            self.listings["detections"] = Listing(
                {"persons": len(self.test.people)}, {"content of the file": digest([text])}
            )
        log.info("%d persons to train on, %d to look at", len(self.train.people), len(self.test.people))

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "keypoints": list(self.person.keypoints),
            "skeleton": [list(bone) for bone in self.person.skeleton],
            "mean": list(MEAN),
            "std": list(STD),
            **recorded(self.listings),
        }

    def halves(self) -> Halves:
        first, second = copy.copy(self), copy.copy(self)
        coco = self.train.coco
        marked = sorted({person.image for person in self.train.people})
        numbers = even_halves(len(marked), "images with persons")
        first.train, second.train = (
            _annotated(coco.select([marked[number] for number in half])) for half in numbers
        )
        first.validation, second.validation = second.train, None
        return Halves(
            first, second, f"{len(first.train.people)} persons and {len(second.train.people)} in other images"
        )

    def start(self, network: nn.Module, seed: int) -> KeypointTask:
        config, parts = self.config, {"validation": self.validation, "test": self.test}
        jitter = Jitter(scale=config.scale, degrees=config.rotation, turned=config.turned, flip=config.flip)
        return KeypointTask(
            network,
            self._stream(self.train, seed, jitter),
            self.fabric,
            parts={
                name: None if part is None else (part, self._stream(part, seed))
                for name, part in parts.items()
            },
            category=self.person.id,
            partners=self.partners,
            image_size=config.image_size,
            sigma=config.sigma,
            flip_test=config.flip_test,
            decode=config.decode,
        )

    def _stream(self, part: People, seed: int, jitter: Jitter | None = None) -> Stream:
        config = self.config
        crops = PersonCrops(
            part.coco, part.people, config.image_size, config.crop_margin, self.partners, jitter
        )
        return Stream.of(
            crops,
            self.recipe.part_size,
            self.fabric,
            collate=collate_crops,
            seed=seed,
            training=jitter is not None,
            num_workers=config.workers,
        )


def _annotated(coco: CocoSet) -> People:
    tally = coco.tally("persons")
    people = annotated_people(coco, tally)
    if not people:
        raise InputError(
            f"none of the {len(coco)} images in use of {coco.file.name} has a person with keypoints"
        )
    tally.report()
    return People(coco, people)
