"""Semantic segmentation: a class for every pixel, mean intersection over union."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from evaluators.tasks.segmentation.data import SceneData
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term
from supernet.networks.config import Head

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from PIL import Image
    from torch import Tensor, nn

    from evaluators.tasks.segmentation.setting import SegmentationSetting

SMALLEST_CROP = 32
"""Least side of a crop in pixels; the map of the last stage is an eighth of it."""


SMOKE = 8
"""Images of a first look."""


@task("segmentation")
@config
class Segmentation(TaskConfig):
    """A class for every pixel of an image.

    Source of the numbers: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks",
    ICCV 2019 (arXiv:1904.05873), appendix, with the hyper-parameters of CCNet (arXiv:1811.11721).
    """

    preset: ClassVar[str] = "cityscapes"
    hub_task: ClassVar[str] = "image-segmentation"
    facts: ClassVar[tuple[str, ...]] = ("input_shape", "classes")

    data: SceneData = SceneData()
    """The images and their labels."""
    head: Head = "fcn"
    """Head that reads the last stage: torchvision's FCN, or DeepLabV3, which sees farther and costs more."""
    backbone: str = "resnet50"
    """Name of the torchvision ResNet whose blocks attention is attached to; its stages 3 and 4 are
    dilated."""
    auxiliary: float = 0.4
    """Factor in the loss of a second FCN head on stage 3, which is trained beside the first; higher trains
    the earlier stages more. 0 for none (CCNet: 0.4, torchvision: 0.5)."""
    crop: int = 769
    """Side in pixels of the squares that are trained on, while whole images are evaluated; larger shows more
    around a pixel and costs more time and memory."""
    scales: tuple[float, float] = (0.7, 2.0)
    """Least and largest factor by which training images are resized at random before they are cropped;
    farther apart varies their size more."""
    flip: bool = True
    """Mirror half of the training crops, left to right, at random."""
    workers: int = 4
    """Processes for each device that read images ahead, no more than there are cores; more feed it faster and
    take more memory. 0 reads in the training process."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, SceneData):
            raise InputError(f"{self.name} reads images with labels; start from a preset of its own")
        if self.crop < SMALLEST_CROP:
            raise InputError(f"crop={self.crop}; give at least {SMALLEST_CROP} pixels")
        if not 0 < self.scales[0] <= self.scales[1]:
            raise InputError(f"scales={self.scales}; give the least and the largest factor, both positive")
        rules.pixels(self, "crop")
        rules.positive(self, "scales")
        rules.not_negative(self, "auxiliary", "workers")

    def read(self, train: TrainConfig, fabric: Fabric) -> SegmentationSetting:
        from evaluators.tasks.segmentation.setting import SegmentationSetting

        return SegmentationSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from supernet.attach import attach
        from supernet.networks.segmentation import build_segmentation

        network = build_segmentation(
            self.head, self.backbone, len(data["classes"]), auxiliary=self.auxiliary > 0
        )
        return attach(network, attention, identity=self.identity, input_shape=data["input_shape"])

    def examples(self, number: int) -> list[Image.Image]:
        from evaluators.tasks.segmentation.scenes import read_scenes

        test = read_scenes(self.data, self.data.test)
        return [test.picture(index) for index in range(min(number, len(test)))]

    @classmethod
    def look(cls, root: Path) -> str:
        from evaluators.tasks.segmentation.scenes import look

        return look(root)

    def summary(self) -> str:
        return f"{self.name}, {self.head} on {self.backbone}"

    def smoke(self) -> Segmentation:
        # The smallest of the ResNets, and images of a size that a CPU gets through.
        data = replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE), image_size=(120, 160))
        return replace(self, data=data, backbone="resnet18", weights=None, crop=97, workers=0)

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image.Image) -> Prediction:
        """Colours the classes that a network sees, and returns the share of the pixels of each."""
        from evaluators.tasks.segmentation.prediction import predict

        return predict(network, data["classes"], image, self.data.image_size)

    def published(self) -> tuple[str, ...]:
        return (f"{self.head}_{self.backbone}", self.backbone)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        from evaluators.tasks.segmentation.prediction import Logits, prepared

        channels, height, width = data["input_shape"]

        def prepare(image: Image.Image) -> Tensor:
            return prepared(image, height, width, network)

        return Exportable(
            Logits(network),
            prepare,
            (channels, height, width),
            note="logits at the network's own resolution",
        )
