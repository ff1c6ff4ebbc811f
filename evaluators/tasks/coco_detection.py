"""Object detection on COCO: torchvision's detectors and losses, COCO's own score."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from evaluators.data.boxes import BoxSamples, Changes, as_list
from evaluators.data.coco import CocoData, CocoSet, first_pictures, held_out, read_coco
from evaluators.data.picture import as_rgb
from evaluators.data.stream import Stream
from evaluators.detection_task import SCORE, DetectionTask
from evaluators.detections import draw, to_list
from evaluators.metrics.coco import need_coco
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from search_space.config import config
from search_space.errors import InputError
from search_space.grammar import Term
from supernet.attach import attach
from supernet.networks.detector_weights import WHOLE_NAMES, fit_published, published_names
from supernet.networks.detectors import DETECTORS, Detector, DetectorConfig

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL import Image

log = logging.getLogger(__name__)

STRIDE = 32
"""Sides of a batch are multiples of this, with a pyramid."""

SMOKE_IMAGES, SMOKE_SIZE, SMOKE_REGIONS = 8, 160, 64
"""Images of a first look, their shorter side, and the regions of each to learn from."""


@task("coco-detection")
@config
class CocoDetection(TaskConfig):
    """Boxes around the objects of COCO, or of any data in its layout."""

    preset = "coco-faster-rcnn"
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "is not part of the losses of detectors"}

    data: CocoData = CocoData()
    """Images and annotations."""
    detector: DetectorConfig = DetectorConfig()
    """The network that attention is attached to."""
    changes: Changes = "flip"
    """What happens to training images: nothing, a flip of half of them, or SSD's colours, crops and flips."""
    empty: bool = False
    """Whether to train on images without objects too."""
    workers: int = 4
    """Processes that read images, for each device; 0: none beside the one that trains."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, CocoData):
            raise InputError(f"{self.name} reads COCO's layout; start from a preset of its own")
        if self.workers < 0:
            raise InputError(f"workers={self.workers} is negative")
        if self.detector.trainable_stages < 5 and self.weights is None:
            raise InputError(
                f"trainable_stages={self.detector.trainable_stages} keeps parts of the backbone as they are, "
                "and they are random: give weights, or leave it at 5"
            )

    @property
    def kind(self) -> Detector:
        """The kind of detector."""
        return DETECTORS[self.detector.name]

    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the largest image in evaluation, as the network sees it."""
        sides = self.kind.size or (self.detector.min_sizes[-1], self.detector.max_size)
        rounded = sides if self.kind.size else tuple(-(-side // STRIDE) * STRIDE for side in sides)
        return 3, rounded[0], rounded[1]

    def read(self, train: TrainConfig, fabric: Fabric) -> DetectionSetting:
        return DetectionSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        network: Any = self.kind.build(self.detector, len(data["classes"]))
        attach(network.backbone, attention, identity=self.identity, input_shape=self.image_shape())
        return network

    def published(self) -> tuple[str, ...]:
        return published_names(self.detector)

    def fitted(
        self, weights: Mapping[str, Tensor], network: nn.Module, data: Mapping[str, Any]
    ) -> Mapping[str, Tensor]:
        if self.weights not in WHOLE_NAMES:
            return weights
        return fit_published(weights, self.detector, network, data["category_ids"])

    def predict(
        self, network: nn.Module, data: Mapping[str, Any], image: Image.Image, *, least: float = 0.5
    ) -> Prediction:
        """Finds objects: `class`, `score` and `box` (left, top, width and height in pixels) of each.

        Args:
            network: A trained one.
            data: What `DetectionSetting.describe` told of its data.
            image: The picture.
            least: Least score of what is drawn and told.
        """
        found = to_list(network, image, data["classes"], self.kind.first_label)
        shown = [each for each in found if each["score"] >= least]
        return Prediction(draw(image, shown, data["classes"]), shown)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        """All of a Faster R-CNN, traced; of the others what the layers say, before boxes are chosen.

        torch.export refuses what chooses boxes, and Faster R-CNN chooses in its middle.
        """
        channels, height, width = data["input_shape"]
        whole = self.detector.name == "faster_rcnn"

        def prepare(image: Image.Image) -> Tensor:
            from torchvision.transforms.v2.functional import pil_to_tensor

            weight = next(network.parameters())
            pixels = pil_to_tensor(as_rgb(image).resize((width, height)))
            values = pixels.to(weight.device, weight.dtype) / 255
            transform: Any = network.transform
            return (values if whole else transform.normalize(values))[None]

        return Exportable(
            (Whole if whole else Raw)(network).eval(),
            prepare,
            (channels, height, width),
            note="boxes, labels and scores of one image of this size, values in 0 to 1; traced"
            if whole
            else "scores and offsets of all anchors, of normalised images of this size: boxes are not chosen",
            traced=whole,
        )

    def examples(self, number: int) -> list[Image.Image]:
        return first_pictures(self.data, "instances", number)

    def subject(self) -> str:
        return f"{self.name}-{self.detector.name.replace('_', '-')}"

    def summary(self) -> str:
        return f"{self.name}: {self.detector.name} on {self.detector.backbone}"

    def smoke(self) -> CocoDetection:
        limit = min(self.data.limit or SMOKE_IMAGES, SMOKE_IMAGES)
        small = replace(
            self.detector,
            min_sizes=(SMOKE_SIZE,),
            max_size=2 * SMOKE_SIZE,
            trainable_stages=5,
            regions=SMOKE_REGIONS,
        )
        data = replace(self.data, limit=limit)
        return replace(self, data=data, detector=small, weights=None, empty=True, workers=0)


class Raw(nn.Module):
    """What the layers of a detector say, in the order of their names, each level apart.

    Args:
        network: The detector.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        network: Any = self.network
        told = [value for _, value in sorted(network.raw(images).items())]
        return tuple(part for value in told for part in (value if isinstance(value, list) else [value]))


class Whole(nn.Module):
    """A detector from a batch of one image to its boxes, labels and scores.

    Args:
        network: The detector.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (found,) = self.network([images[0]])
        return found["boxes"], found["labels"], found["scores"]


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
            part.boxes().tell()
        self.validation: CocoSet | None = None
        if train.validation_fraction:
            self.train, self.validation = held_out(self.train, train.validation_fraction)
            self.validation.need_objects()
        self.test.need_objects()
        log.info("%d images to train on, %d to test on", len(self.train), len(self.test))

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "classes": [category.name for category in self.train.categories],
            "category_ids": [category.id for category in self.train.categories],
        }

    def start(self, network: nn.Module, seed: int) -> DetectionTask:
        samples = BoxSamples(self.train, self.config.changes)
        samples = samples if self.config.empty else samples.with_boxes()
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
