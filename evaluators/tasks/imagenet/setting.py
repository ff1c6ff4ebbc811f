"""The images of ImageNet, or of any folders laid out as it, listed and split."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data.index import is_hidden
from evaluators.data.listing import recorded
from evaluators.data.parts import find_parts, log_unused
from evaluators.data.pictures import PictureBatches, PictureList, Pictures, collate, list_pictures
from evaluators.data.stratify import halved, held_out
from evaluators.data.stream import Stream
from evaluators.precision import real_dtype
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.classification.training import SCORE, ClassificationTask
from evaluators.tasks.imagenet import MEAN, STD, ImageNet, ImageNetData, last_part
from foundation.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class ImageNetSetting:
    """Images listed and split; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the images are not there, or laid out in another way.
    """

    score: str = SCORE

    def __init__(self, config: ImageNet, train: TrainConfig, fabric: Fabric) -> None:
        self.config, self.recipe, self.fabric = config, train, fabric
        self.input_shape: tuple[int, int, int] = (3, config.image_size, config.image_size)
        root = root_of(config.data)
        parts = find_parts(root)
        log_unused(root, parts.values(), is_hidden)
        self.train = list_pictures(parts["train"])
        self.validation: PictureList | None = None
        self.test = list_pictures(last_part(root), self.train.classes)
        if "test" in parts and "val" in parts:
            self.validation = list_pictures(parts["val"], self.train.classes)
        parts_read = {"train": self.train, "test": self.test, "validation": self.validation}
        self.listings = {name: part.listing for name, part in parts_read.items() if part is not None}
        if not train.validation_fraction:
            self.validation = None
        elif self.validation is None:
            rest, held = held_out(self.train.labels, len(self.train.classes), train.validation_fraction)
            self.train, self.validation = self.train.select(rest), self.train.select(held)
        if config.data.limit is not None:
            most = config.data.limit
            self.train, self.test = self.train.spread(most), self.test.spread(most)
            self.validation = self.validation.spread(most) if self.validation else None

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "num_classes": len(self.train.classes),
            "classes": list(self.train.classes),
            "mean": list(MEAN),
            "std": list(STD),
            **recorded(self.listings),
        }

    def halves(self) -> Halves:
        first, second = copy.copy(self), copy.copy(self)
        parts = halved(self.train.labels, len(self.train.classes))
        first.train, second.train = (self.train.select(part) for part in parts)
        first.validation, second.validation = second.train, None
        return Halves(first, second, f"{len(first.train)} images and {len(second.train)} others")

    def start(self, network: nn.Module, seed: int) -> ClassificationTask:
        return ClassificationTask(
            network,
            self._batches(self.train, seed, training=True),
            self.fabric,
            validation=self._batches(self.validation, seed) if self.validation else None,
            test=self._batches(self.test, seed),
            label_smoothing=self.recipe.label_smoothing,
            mixing=self.config.mixing(len(self.train.classes)),
            top5=True,
        )

    def _batches(self, pictures: PictureList, seed: int, *, training: bool = False) -> PictureBatches:
        transform = self.config.random_crop() if training else self.config.centre_crop()
        stream = Stream.of(
            Pictures(pictures, transform),
            self.recipe.part_size,
            self.fabric,
            collate=collate,
            seed=seed,
            training=training,
            num_workers=self.config.workers,
        )
        return PictureBatches(stream, self.fabric.device, MEAN, STD, real_dtype(self.fabric))


def root_of(data: ImageNetData) -> Path:
    """The folder with the parts.

    Raises:
        InputError: If it is not given, not there, or lacks a part.
    """
    if data.root is None:
        raise InputError(
            "--data.root is missing: the folder that holds train and val, a folder a class in each"
        )
    root = Path(data.root)
    if not root.is_dir():
        raise InputError(f"no folder at {root}")
    parts = find_parts(root)
    if "train" not in parts:
        raise InputError(f"{root} has no folder train; expected train/<class>/<image> beside val or test")
    if len(parts) < 2:
        raise InputError(f"{root} has train but neither val nor test; put the images to test on there")
    return root
