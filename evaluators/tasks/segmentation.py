"""Semantic segmentation: a class for every pixel, mean intersection over union."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.data.even_split import split_evenly
from evaluators.data.picture import as_rgb
from evaluators.data.pixels import MEAN, STD, normalized
from evaluators.data.scene_crops import Crops, Scene, Whole, collate_scenes
from evaluators.data.scenes import IGNORED, SceneData, Scenes, read_scenes
from evaluators.data.stream import Stream
from evaluators.evaluating import evaluating
from evaluators.metrics.confusion import confusion_matrix, segmentation_scores
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, Split, TaskConfig, task
from evaluators.tasks.classification import real_dtype
from search_space.config import config
from search_space.errors import InputError
from search_space.grammar import Term
from supernet.attach import attach
from supernet.networks.segmentation import HEADS, Head, build_segmentation

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL import Image

log = logging.getLogger(__name__)

SMALLEST_CROP = 32
"""Pixels; the map of the last stage is an eighth."""


SMOKE = 8
"""Pictures of a first look."""


@task("segmentation")
@config
class Segmentation(TaskConfig):
    """A class for every pixel of a picture.

    Source of the numbers: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks",
    ICCV 2019 (arXiv:1904.05873), appendix, with the hyper-parameters of CCNet (arXiv:1811.11721).
    """

    preset: ClassVar[str] = "cityscapes"

    data: SceneData = SceneData()
    """The pictures and their labels."""
    head: Head = "fcn"
    """What reads the last stage: torchvision's FCN or DeepLabV3."""
    backbone: str = "resnet50"
    """torchvision ResNet whose blocks attention is attached to; stages 3 and 4 are dilated."""
    auxiliary: float = 0.4
    """Share of the loss of a second FCN head on stage 3; 0 for none. CCNet's is 0.4, torchvision's 0.5."""
    crop: int = 769
    """Side in pixels of the squares that are trained on; whole pictures are evaluated."""
    scales: tuple[float, float] = (0.7, 2.0)
    """Least and largest factor by which pictures are resized before they are cropped."""
    flip: bool = True
    """Mirror half of the crops, left to right."""
    workers: int = 4
    """Processes that read pictures ahead; 0 reads in the training itself."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, SceneData):
            raise InputError(f"{self.name} reads pictures with labels; start from a preset of its own")
        if self.crop < SMALLEST_CROP:
            raise InputError(f"crop={self.crop}; give at least {SMALLEST_CROP} pixels")
        if not 0 < self.scales[0] <= self.scales[1]:
            raise InputError(f"scales={self.scales}; give the least and the largest factor, both positive")
        for name in ("auxiliary", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")

    def read(self, train: TrainConfig, fabric: Fabric) -> SegmentationSetting:
        return SegmentationSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        network = build_segmentation(
            self.head, self.backbone, len(data["classes"]), auxiliary=self.auxiliary > 0
        )
        return attach(network, attention, identity=self.identity, input_shape=data["input_shape"])

    def examples(self, number: int) -> list[Image.Image]:
        try:
            test = read_scenes(self.data, self.data.test)
        except InputError:
            return []
        return [test.picture(index) for index in range(min(number, len(test)))]

    def summary(self) -> str:
        return f"{self.name}, {self.head} on {self.backbone}"

    def smoke(self) -> Segmentation:
        # The smallest of the ResNets, and pictures of a size that a CPU gets through.
        data = replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE), image_size=(120, 160))
        return replace(self, data=data, backbone="resnet18", weights=None, crop=97, workers=0)

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image.Image) -> Prediction:
        """Colours the classes that a network sees, and tells the share of the pixels of each."""
        from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
        from torchvision.utils import draw_segmentation_masks

        pixels = pil_to_tensor(as_rgb(image))
        weight, names = next(network.parameters()), data["classes"]
        inputs = normalized(pixels[None], weight.device, weight.dtype)
        if self.data.image_size is not None:
            inputs = F.interpolate(inputs, self.data.image_size, mode="bilinear", antialias=True)
        with evaluating(network) as ask:
            logits = F.interpolate(ask(inputs)["out"], pixels.shape[1:], mode="bilinear")
        classes = logits[0].argmax(0).cpu()
        masks = classes == torch.arange(len(names))[:, None, None]
        drawn = draw_segmentation_masks(pixels, masks, alpha=0.6, colors=[*palette(len(names))])
        shares = masks.double().mean((1, 2)).tolist()
        found = [{"class": name, "share": round(share, 4)} for name, share in zip(names, shares) if share]
        return Prediction(to_pil_image(drawn), sorted(found, key=lambda each: -each["share"]))

    def published(self) -> tuple[str, ...]:
        return (f"{self.head}_{self.backbone}", self.backbone)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        channels, height, width = data["input_shape"]

        def prepare(image: Image.Image) -> Tensor:
            from torchvision.transforms.v2.functional import pil_to_tensor

            pixels = pil_to_tensor(as_rgb(image).resize((width, height)))
            weight = next(network.parameters())
            return normalized(pixels[None], weight.device, weight.dtype)

        return Exportable(
            Logits(network),
            prepare,
            (channels, height, width),
            note="logits at the network's own resolution",
        )


class Logits(nn.Module):
    """The logits of a segmentation network alone.

    Args:
        network: Gives them as `out`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


def palette(num_classes: int) -> list[tuple[int, int, int]]:
    """As many colours that differ."""
    from colorsys import hsv_to_rgb

    # Hues a golden angle apart never come close to their neighbours.
    hues = (0.618034 * number % 1 for number in range(num_classes))
    colours = (hsv_to_rgb(hue, (0.65, 1.0)[k % 2], (1.0, 0.85, 0.7)[k % 3]) for k, hue in enumerate(hues))
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colours]


class SegmentationSetting:
    """Pictures listed and split; see `Setting`.

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
                "deeplabv3 normalises one value a picture and channel: a process needs two pictures or more; "
                "give a larger batch_size, head=fcn, or on GPUs norm=sync"
            )
        self.input_shape: tuple[int, int, int] = (3, config.crop, config.crop)
        data = config.data
        self.train, self.test = read_scenes(data, data.train), read_scenes(data, data.test)
        self.validation: Scenes | None = None
        if train.validation_fraction and data.validation is not None:
            self.validation = read_scenes(data, data.validation)
        elif train.validation_fraction:
            kept, held = split_evenly(len(self.train), train.validation_fraction, "pictures")
            self.train, self.validation = self.train.select(kept), self.train.select(held)
        log.info("%d pictures to train on, %d to test on", len(self.train), len(self.test))

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "classes": list(self.train.classes),
            "mean": list(MEAN),
            "std": list(STD),
        }

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
        # One picture a process at a time: their sizes may differ.
        return self._stream(Whole(scenes), self.fabric.world_size, seed, training=False)

    def _stream(self, samples: Crops | Whole, batch_size: int, seed: int, *, training: bool) -> Stream:
        return Stream.of(
            samples,
            batch_size,
            self.fabric,
            collate=collate_scenes,
            seed=seed,
            training=training,
            num_workers=self.config.workers,
        )


class SegmentationTask:
    """A network, its crops and pictures; see `Task`.

    Args:
        model: Images (b, 3, h, w) to `{"out": logits}`, in training also "aux".
        train: Augmented, shuffled crops.
        fabric: Device and processes.
        classes: Names.
        validation: Held-out pictures; None for none.
        test: Test pictures.
        auxiliary: Share of the loss of "aux".
        label_smoothing: Share of the target spread evenly over the classes.
    """

    figures: tuple[str, ...] = ("accuracy",)
    score: str = "mIoU"

    def __init__(
        self,
        model: nn.Module,
        train: Stream,
        fabric: Fabric,
        *,
        classes: Sequence[str],
        validation: Stream | None,
        test: Stream,
        auxiliary: float,
        label_smoothing: float = 0.0,
    ) -> None:
        self.model, self.train, self.fabric, self.classes = model, train, fabric, classes
        self.splits = {"validation": validation, "test": test}
        self.auxiliary, self.label_smoothing = auxiliary, label_smoothing
        self.num_batches = len(train)
        self.has_validation = validation is not None

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        return self._on_device(self.train.batch(epoch, index))

    def _on_device(self, scene: Scene) -> tuple[Tensor, Tensor]:
        device = self.fabric.device
        pictures = normalized(scene.picture, device, real_dtype(self.fabric))
        return pictures, scene.labels.to(device, non_blocking=True)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Means over the labelled pixels of all processes: more processes take the same step."""
        images, labels = batch
        outputs = model(images)
        labelled = labels != IGNORED
        count = torch.as_tensor(self.fabric.all_reduce(labelled.sum().float(), reduce_op="mean")).clamp(min=1)
        loss = self._cross_entropy(outputs["out"], labels) / count
        if self.auxiliary:
            loss = loss + self.auxiliary * self._cross_entropy(outputs["aux"], labels) / count
        right = ((outputs["out"].argmax(1) == labels) & labelled).sum() / count
        return loss, right

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        real = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(
            real, labels, ignore_index=IGNORED, reduction="sum", label_smoothing=self.label_smoothing
        )

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        pictures = self.splits[split]
        assert pictures is not None, f"the task has no {split} part"
        count = len(self.classes)
        matrix = torch.zeros(count, count, dtype=torch.int64, device=self.fabric.device)
        with evaluating(model, self.fabric) as ask:
            for scene in pictures:
                images, labels = self._on_device(scene)
                matrix += confusion_matrix(labels, ask(images)["out"].argmax(1), count)
        whole = torch.as_tensor(self.fabric.all_reduce(matrix, reduce_op="sum"))
        return segmentation_scores(whole.cpu(), self.classes)


def synchronise_heads(network: nn.Module, fabric: Fabric) -> None:
    """Has the norms of the heads, which are new, take the statistics of all GPUs' pictures, in place.

    The norms of the backbone keep to those of their own GPU; `--train.norm` changes that. On a CPU, for which
    torch has no such norms, and with one process nothing changes.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        for name in HEADS:
            head = getattr(network, name, None)
            if head is not None:
                setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(head))
