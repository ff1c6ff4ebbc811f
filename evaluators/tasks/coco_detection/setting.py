"""The annotations of a detection, read and split."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data.coco import CocoSet, held_out, read_coco
from evaluators.data.even_split import even_halves
from evaluators.data.listing import recorded
from evaluators.data.stream import Stream
from evaluators.metrics.coco import need_coco
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.coco_detection.boxes import BoxSamples, as_list
from evaluators.tasks.coco_detection.training import SCORE, DetectionTask
from foundation.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks.coco_detection import CocoDetection

log = logging.getLogger(__name__)


class DetectionSetting:
    """Annotations read and split; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the data cannot be read, its parts have other categories, or there is no evaluation.
    """

    score: str = SCORE

    def __init__(self, config: CocoDetection, train: TrainConfig, fabric: Fabric) -> None:
        need_coco()
        config.refuse_unused(train)
        self.config, self.recipe, self.fabric = config, train, fabric
        self.input_shape = config.image_shape()
        self.train = read_coco(config.data, "instances", config.data.train)
        self.test = read_coco(config.data, "instances", config.data.test)
        if self.train.categories != self.test.categories:
            raise InputError(
                f"{self.train.file.name} and {self.test.file.name} differ in their categories; "
                "both parts need the same"
            )
        for part in (self.train, self.test):
            part.boxes().report()
        self.validation: CocoSet | None = None
        if train.validation_fraction:
            self.train, self.validation = held_out(self.train, train.validation_fraction)
            self.validation.need_objects()
        self.test.need_objects()
        every = BoxSamples(self.train, config.changes)
        self._samples = every if config.empty else every.with_boxes()
        without = len(every) - len(self._samples)
        log.info(
            "%d images to train on%s, %d to test on",
            len(self._samples),
            f", {without} without a box left out (--empty trains on them)" if without else "",
            len(self.test),
        )

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "classes": [category.name for category in self.train.categories],
            "category_ids": [category.id for category in self.train.categories],
            **recorded({"train": self.train.listing, "test": self.test.listing}),
        }

    def halves(self) -> Halves:
        first, second = copy.copy(self), copy.copy(self)
        numbers = even_halves(len(self._samples), "images")
        first._samples, second._samples = (self._samples.select(half) for half in numbers)
        first.validation, second.validation = second._samples.found, None
        first.validation.need_objects()
        return Halves(first, second, f"{len(first._samples)} images and {len(second._samples)} others")

    def start(self, network: nn.Module, seed: int) -> DetectionTask:
        samples = self._samples
        splits = {"validation": self.validation, "test": self.test}
        return DetectionTask(
            network,
            self._stream(samples, seed, training=True),
            {
                name: self._stream(BoxSamples(part, "none"), seed, training=False)
                for name, part in splits.items()
                if part is not None
            },
            {name: part for name, part in splits.items() if part is not None},
            self.config.kind,
            self.fabric,
        )

    def _stream(self, samples: BoxSamples, seed: int, *, training: bool) -> Stream:
        return Stream.of(
            samples,
            self.recipe.part_size,
            self.fabric,
            collate=as_list,
            seed=seed,
            training=training,
            num_workers=self.config.workers,
        )
