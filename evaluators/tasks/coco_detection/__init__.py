"""Object detection on COCO: torchvision's detectors and losses, COCO's own score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evaluators.data.coco import CocoData, first_pictures, look
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term
from supernet.networks.config import DetectorConfig

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from PIL import Image
    from torch import Tensor, nn

    from evaluators.tasks.coco_detection.setting import DetectionSetting
    from supernet.networks.detectors import Detector

Changes = Literal["none", "flip", "ssd"]
"""What happens to a training image: nothing, a flip of half of them, or what SSD is trained with."""

STRIDE = 32
"""Sides of a batch are multiples of this, with a pyramid."""

SMOKE_IMAGES, SMOKE_SIZE, SMOKE_REGIONS = 8, 160, 64
"""Images of a first look, their shorter side, and the regions of each to learn from."""


@task("coco-detection")
@config
class CocoDetection(TaskConfig):
    """Boxes around the objects of COCO, or of any data in its layout."""

    preset = "coco-faster-rcnn"
    extra: ClassVar[str | None] = "coco"
    hub_task: ClassVar[str] = "object-detection"
    facts: ClassVar[tuple[str, ...]] = ("input_shape", "classes", "category_ids")
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "is not part of the losses of detectors"}

    data: CocoData = CocoData()
    """The images and their annotations."""
    detector: DetectorConfig = DetectorConfig()
    """The network that attention is attached to."""
    changes: Changes = "flip"
    """Random changes of training images: none, a flip of half of them, or SSD's colours, crops and flips
    (ssd)."""
    empty: bool = False
    """Train on images without objects too, which teaches the detector what is none; slower."""
    workers: int = 4
    """Processes for each device that read images ahead, no more than there are cores; more feed it faster and
    take more memory. 0 reads in the training process."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, CocoData):
            raise InputError(f"{self.name} reads COCO's layout; start from a preset of its own")
        rules.not_negative(self, "workers")
        if self.detector.trainable_stages < 5 and self.weights is None:
            raise InputError(
                f"trainable_stages={self.detector.trainable_stages} keeps parts of the backbone as they are, "
                "and they are random: give weights, or leave it at 5"
            )

    @property
    def kind(self) -> Detector:
        """The kind of detector."""
        from supernet.networks.detectors import DETECTORS

        return DETECTORS[self.detector.name]

    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the largest image in evaluation, as the network sees it."""
        sides = self.kind.size or (self.detector.min_sizes[-1], self.detector.max_size)
        rounded = sides if self.kind.size else tuple(-(-side // STRIDE) * STRIDE for side in sides)
        return 3, rounded[0], rounded[1]

    def read(self, train: TrainConfig, fabric: Fabric) -> DetectionSetting:
        from evaluators.tasks.coco_detection.setting import DetectionSetting

        return DetectionSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from supernet.attach import attach

        network: Any = self.kind.build(self.detector, len(data["classes"]))
        attach(network.backbone, attention, identity=self.identity, input_shape=self.image_shape())
        return network

    def published(self) -> tuple[str, ...]:
        from supernet.networks.detector_weights import published_names

        return published_names(self.detector)

    def fitted(
        self, weights: Mapping[str, Tensor], network: nn.Module, data: Mapping[str, Any]
    ) -> Mapping[str, Tensor]:
        from supernet.networks.detector_weights import WHOLE_NAMES, fit_published

        if self.weights not in WHOLE_NAMES:
            return weights
        return fit_published(weights, self.detector, network, data["category_ids"])

    def predict(
        self, network: nn.Module, data: Mapping[str, Any], image: Image.Image, *, least: float = 0.5
    ) -> Prediction:
        """Finds objects: `class`, `score` and `box` (left, top, width and height in pixels) of each.

        Args:
            network: A trained one.
            data: The result of `DetectionSetting.describe`.
            image: The image.
            least: Least score of the boxes that are drawn and returned.
        """
        from evaluators.tasks.coco_detection.detections import draw, to_list

        found = to_list(network, image, data["classes"], self.kind.first_label)
        shown = [each for each in found if each["score"] >= least]
        return Prediction(draw(image, shown, data["classes"]), shown)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        """All of a Faster R-CNN, traced; of the others what the layers say, before boxes are chosen.

        torch.export refuses what chooses boxes, and Faster R-CNN chooses in its middle.
        """
        from evaluators.data.picture import as_rgb
        from evaluators.tasks.coco_detection.export import Raw, WithBoxes

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
            (WithBoxes if whole else Raw)(network).eval(),
            prepare,
            (channels, height, width),
            note="boxes, labels and scores of one image of this size, values in 0 to 1; traced"
            if whole
            else "scores and offsets of all anchors, of normalised images of this size: boxes are not chosen",
            traced=whole,
        )

    def examples(self, number: int) -> list[Image.Image]:
        return first_pictures(self.data, "instances", number)

    @classmethod
    def look(cls, root: Path) -> str:
        return look(CocoData(root=str(root)), "instances")

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
