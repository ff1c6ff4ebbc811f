"""Image classification: cross-entropy, top-1 accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.data import Augment, Batches, DataConfig, ImageSet, hold_out, normalization, read
from evaluators.data.decode import fit
from evaluators.data.picture import as_rgb
from evaluators.data.pictures import Normalise
from evaluators.evaluating import evaluating
from evaluators.job import wide
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, Split, TaskConfig, task
from evaluators.tasks.top_classes import top_classes
from search_space.config import config
from search_space.errors import InputError
from search_space.grammar import Term
from supernet.attach import attach
from supernet.backbones import build_backbone

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL.Image import Image


SCORE = "accuracy"

SMOKE = 200
"""Images of a first look."""


class LabelledBatches(Protocol):
    """Images (b, c, h, w) on the device, normalised, with their labels (b,)."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """This process's share of a batch."""
        ...


class ClassificationTask:
    """A classifier and its batches; see `Task`.

    Args:
        model: Images (b, c, h, w) to logits (b, classes).
        train: Augmented, shuffled training batches.
        fabric: Device and processes.
        validation: Held-out batches; None for none.
        test: Test batches; None where the test set is not to be seen.
        label_smoothing: Share of the target spread evenly over the classes.
        mixing: From images and labels of a training batch to mixed images and shares of the classes.
        top5: Whether evaluation also tells how often the label is among the five likeliest classes.
    """

    figures: tuple[str, ...] = ("accuracy",)
    score: str = SCORE

    def __init__(
        self,
        model: nn.Module,
        train: LabelledBatches,
        fabric: Fabric,
        *,
        validation: LabelledBatches | None = None,
        test: LabelledBatches | None = None,
        label_smoothing: float = 0.0,
        mixing: nn.Module | None = None,
        top5: bool = False,
    ) -> None:
        self.model, self.train, self.fabric = model, train, fabric
        self.splits = {"validation": validation, "test": test}
        self.label_smoothing, self.mixing, self.top5 = label_smoothing, mixing, top5
        self.num_batches = len(train)
        self.has_validation = validation is not None

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        return self.train.batch(epoch, index)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        images, labels = batch if self.mixing is None else self.mixing(*batch)
        logits = model(images)
        return cross_entropy(logits, labels, self.label_smoothing), accuracy(logits, labels)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        batches = self.splits[split]
        assert batches is not None, f"the task has no {split} part"
        return evaluate(model, batches, self.fabric, top5=self.top5)


@task("classification")
@config
class Classification(TaskConfig):
    """Classification of small images that stay on the device."""

    data: DataConfig
    """The images; the validation part is the data's own, or else a share of the training set."""
    backbone: str = "cifar_resnet20"
    """The network that attention is attached to; `autola list` names them."""
    width: int | None = None
    """Channels of the backbone's first stage; its own if left out."""

    def read(self, train: TrainConfig, fabric: Fabric) -> ClassificationSetting:
        return ClassificationSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        backbone = build_backbone(
            self.backbone,
            num_classes=data["num_classes"],
            in_channels=data["input_shape"][0],
            width=self.width,
        )
        return attach(backbone, attention, input_shape=data["input_shape"], identity=self.identity)

    def published(self) -> tuple[str, ...]:
        return (self.backbone,)

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image) -> Prediction:
        picture = as_rgb(image)
        with evaluating(network) as ask:
            logits = ask(_prepared(data, picture, network))[0]
        return top_classes(logits, data["classes"], picture)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        def prepare(image: Image) -> Tensor:
            return _prepared(data, as_rgb(image), network)

        return Exportable(network, prepare, tuple(data["input_shape"]), any_batch=True)

    def examples(self, number: int) -> list[Image]:
        from PIL import Image

        try:
            images = read(self.data).test.images[:number]
        except InputError:
            return []
        return [Image.fromarray(pixels.squeeze(-1).numpy()) for pixels in images]

    def subject(self) -> str:
        return self.data.name

    def summary(self) -> str:
        return f"{self.name} on {self.data.name}, {self.backbone}"

    def smoke(self) -> Classification:
        return replace(self, data=replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE)))


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
        self.train, self.validation, self.test = splits.train, splits.validation, splits.test
        if not train.validation_fraction:
            self.validation = None
        elif self.validation is None:
            self.train, self.validation = hold_out(self.train, train.validation_fraction)

    def describe(self) -> dict[str, Any]:
        return describe(self.train, self.mean, self.std)

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


def _prepared(data: Mapping[str, Any], picture: Image, network: nn.Module) -> Tensor:
    """A picture as the network wants it: short side resized, centre cropped, normalised; (1, c, h, w)."""
    channels, height, width = data["input_shape"]
    if height != width:
        raise InputError(f"the network wants images of {height}x{width} pixels, and predicts squares alone")
    square = fit(picture, height)
    pixels = np.asarray(square.convert("L") if channels == 1 else square).reshape(height, width, channels)
    weight = next(network.parameters())
    normalise = Normalise(data["mean"], data["std"], weight.dtype)
    return normalise(torch.tensor(pixels).permute(2, 0, 1)[None]).to(weight.device)


def describe(images: ImageSet, mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    """What a classifier has to know of its images, as JSON values."""
    return {
        "input_shape": [images.images.shape[3], *images.size],
        "num_classes": len(images.classes),
        "classes": list(images.classes),
        "mean": list(mean),
        "std": list(std),
    }


def real_dtype(fabric: Fabric) -> torch.dtype:
    """Of images and weights: float64 under "64-true", else float32."""
    return torch.float64 if fabric.strategy.precision.precision == "64-true" else torch.float32


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy, in float32 at least; labels are classes (b,), or shares of them (b, classes)."""
    real = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target = labels if labels.ndim == 1 else labels.to(real.dtype)
    return F.cross_entropy(real, target, label_smoothing=label_smoothing)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of the images whose largest logit is the label's, or its largest share's, as a scalar tensor."""
    target = labels if labels.ndim == 1 else labels.argmax(1)
    return (logits.argmax(1) == target).to(wide(logits.device)).mean()


def evaluate(
    model: nn.Module, batches: LabelledBatches, fabric: Fabric, *, top5: bool = False
) -> dict[str, float]:
    """Mean cross-entropy, top-1 and perhaps top-5 accuracy over all images of all processes, in eval mode."""
    real = wide(fabric.device)
    sums = torch.zeros(4, dtype=real, device=fabric.device)
    with evaluating(model, fabric) as ask:
        for images, labels in batches:
            logits = ask(images)
            loss = F.cross_entropy(logits.to(real), labels, reduction="sum")
            first = (logits.argmax(1) == labels).sum()
            five = (logits.topk(min(5, logits.shape[1])).indices == labels[:, None]).sum()
            sums += torch.stack((loss, first.to(real), five.to(real), torch.full_like(loss, len(labels))))
    loss, first, five, count = torch.as_tensor(fabric.all_reduce(sums, reduce_op="sum")).tolist()
    metrics = {"loss": loss / count, "accuracy": first / count}
    return metrics | {"top5_accuracy": five / count} if top5 else metrics
