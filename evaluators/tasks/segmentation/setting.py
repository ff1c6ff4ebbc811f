"""The images of a segmentation, listed and split."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data.even_split import even_halves, split_evenly
from evaluators.data.listing import recorded
from evaluators.data.pixels import MEAN, STD
from evaluators.data.stream import Stream
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.segmentation.scene_crops import Crops, Uncut, collate_scenes
from evaluators.tasks.segmentation.scenes import Scenes, read_scenes
from evaluators.tasks.segmentation.training import SegmentationTask, synchronise_heads
from foundation.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks.segmentation import Segmentation

log = logging.getLogger(__name__)


class SegmentationSetting:
    """Images listed and split; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the data cannot be read, or the recipe does not fit the network.
    """

    score: str = "mIoU"

    def __init__(self, config: Segmentation, train: TrainConfig, fabric: Fabric) -> None:
        self.config, self.recipe, self.fabric = config, train, fabric
        if config.head == "deeplabv3" and train.norm == "train" and train.part_size < 2 * fabric.world_size:
            raise InputError(
                "deeplabv3 normalises one value an image and channel: a process needs two images or more; "
                "give a larger batch_size, head=fcn, or on GPUs norm=sync"
            )
        self.input_shape: tuple[int, int, int] = (3, config.crop, config.crop)
        data = config.data
        self.train, self.test = read_scenes(data, data.train), read_scenes(data, data.test)
        self.listings = {"train": self.train.listing, "test": self.test.listing}
        self.validation: Scenes | None = None
        if train.validation_fraction and data.validation is not None:
            self.validation = read_scenes(data, data.validation)
            self.listings["validation"] = self.validation.listing
        elif train.validation_fraction:
            kept, held = split_evenly(len(self.train), train.validation_fraction, "images")
            self.train, self.validation = self.train.select(kept), self.train.select(held)
        log.info("%d images to train on, %d to test on", len(self.train), len(self.test))

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "classes": list(self.train.classes),
            "mean": list(MEAN),
            "std": list(STD),
            **recorded(self.listings),
        }

    def halves(self) -> Halves:
        first, second = copy.copy(self), copy.copy(self)
        numbers = even_halves(len(self.train), "images")
        first.train, second.train = (self.train.select(half) for half in numbers)
        first.validation, second.validation = second.train, None
        return Halves(first, second, f"{len(first.train)} images and {len(second.train)} others")

    def start(self, network: nn.Module, seed: int) -> SegmentationTask:
        config = self.config
        synchronise_heads(network, self.fabric)
        train = Crops(self.train, config.crop, config.scales, config.flip)
        return SegmentationTask(
            network,
            self._stream(train, self.recipe.part_size, seed, training=True),
            self.fabric,
            classes=self.train.classes,
            validation=self._whole(self.validation, seed) if self.validation else None,
            test=self._whole(self.test, seed),
            auxiliary=config.auxiliary,
            label_smoothing=self.recipe.label_smoothing,
        )

    def _whole(self, scenes: Scenes, seed: int) -> Stream:
        # One image a process at a time: their sizes may differ.
        return self._stream(Uncut(scenes), self.fabric.world_size, seed, training=False)

    def _stream(self, samples: Crops | Uncut, batch_size: int, seed: int, *, training: bool) -> Stream:
        return Stream.of(
            samples,
            batch_size,
            self.fabric,
            collate=collate_scenes,
            seed=seed,
            training=training,
            num_workers=self.config.workers,
        )
