"""The images of a classification, read and split."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data import Augment, Batches, ImageSet, halves, hold_out, normalization, read
from evaluators.data.listing import Listing, recorded
from evaluators.precision import real_dtype
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.classification.training import SCORE, ClassificationTask

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks.classification import Classification


class ClassificationSetting:
    """Images read and split; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the data cannot be read.
    """

    score: str = SCORE

    def __init__(self, config: Classification, train: TrainConfig, fabric: Fabric) -> None:
        self.config, self.recipe, self.fabric = config, train, fabric
        splits = read(config.data)
        self.input_shape = (splits.in_channels, *splits.image_size)
        self.mean, self.std = normalization(config.data, splits.train)
        self.listings = splits.listings
        self.train, self.validation, self.test = splits.train, splits.validation, splits.test
        if not train.validation_fraction:
            self.validation = None
        elif self.validation is None:
            self.train, self.validation = hold_out(self.train, train.validation_fraction)

    def describe(self) -> dict[str, Any]:
        return describe(self.train, self.mean, self.std, self.listings)

    def halves(self) -> Halves:
        first, second = copy.copy(self), copy.copy(self)
        first.train, second.train = halves(self.train)
        first.validation, second.validation = second.train, None
        return Halves(first, second, f"{len(first.train)} images and {len(second.train)} others")

    def start(self, network: nn.Module, seed: int) -> ClassificationTask:
        return ClassificationTask(
            network,
            self._batches(self.train, seed, Augment.of(self.config.data)),
            self.fabric,
            validation=self._batches(self.validation, seed) if self.validation else None,
            test=self._batches(self.test, seed),
            label_smoothing=self.recipe.label_smoothing,
        )

    def _batches(self, images: ImageSet, seed: int, augment: Augment | None = None) -> Batches:
        training = augment is not None
        return Batches(
            images,
            self.recipe.part_size,
            device=self.fabric.device,
            mean=self.mean,
            std=self.std,
            augment=augment,
            seed=seed,
            dtype=real_dtype(self.fabric),
            shuffle=training,
            drop_last=training,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
        )


def describe(
    images: ImageSet, mean: Sequence[float], std: Sequence[float], listings: Mapping[str, Listing]
) -> dict[str, Any]:
    """What a classifier has to know of its images, as JSON values."""
    return {
        "input_shape": [images.images.shape[3], *images.size],
        "num_classes": len(images.classes),
        "classes": list(images.classes),
        "mean": list(mean),
        "std": list(std),
        **recorded(listings),
    }
