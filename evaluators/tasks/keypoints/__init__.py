"""Human poses: a heat map for each keypoint of a person's crop, average precision by keypoint similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from evaluators.data.coco import CocoData, first_pictures, look
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from evaluators.tasks.keypoints.decode import Decode
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from PIL import Image
    from torch import Tensor, nn

    from evaluators.tasks.keypoints.setting import KeypointSetting

SMOKE = 32
"""Images of a first look; about half of them show somebody."""


@task("coco-keypoints")
@config
class Keypoints(TaskConfig):
    """Poses of the persons of COCO, each found in a crop around the person.

    Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018
    (arXiv:1804.06208); numbers that the paper does not state are those of the authors' code.
    """

    preset: ClassVar[str] = "coco-keypoints"
    extra: ClassVar[str | None] = "coco"
    hub_task: ClassVar[str] = "keypoint-detection"
    old_names: ClassVar[Mapping[str, str]] = {"margin": "crop_margin"}
    facts: ClassVar[tuple[str, ...]] = ("input_shape", "keypoints", "skeleton")
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "is for classes, and heat maps have none"}

    data: CocoData = CocoData()
    """The images, with `person_keypoints` annotations."""
    detections: str | None = None
    """Path of a file of detections in COCO's result format, whose person boxes are evaluated at the end; the
    annotated boxes if left out."""
    backbone: str = "resnet50"
    """Name of the torchvision ResNet whose blocks attention is attached to."""
    image_size: tuple[int, int] = (256, 192)
    """Height and width in pixels that a person's crop is resized to, multiples of 32; larger finds keypoints
    more exactly and costs more time and memory."""
    crop_margin: float = 1.25
    """Sides of a crop in those of the person's box; higher shows more around the person."""
    sigma: float = 2.0
    """Standard deviation of the Gaussians that the heat maps learn, in cells of 4x4 pixels; higher learns
    more easily and less exactly."""
    scale: float = 0.3
    """Standard deviation and bound of the random change of a training crop's size, as a share of it; higher
    varies it more. 0 for none."""
    rotation: float = 40.0
    """Standard deviation of the random turn of a training crop in degrees, bounded at twice that; higher
    turns further. 0 for none."""
    turned: float = 0.6
    """Share of the training crops that are turned; higher turns more of them."""
    flip: bool = True
    """Mirror half of the training crops, left to right, at random."""
    flip_test: bool = True
    """Evaluate with the mean of the heat maps of a crop and of its mirror image: more exact, at twice the
    time."""
    decode: Decode = "quarter"
    """How a peak of a heat map is refined: by a quarter of a cell towards the larger neighbour (quarter), or
    to second order on the logarithm of the smoothed map (dark), which is exact for a Gaussian."""
    workers: int = 4
    """Processes for each device that read images ahead, no more than there are cores; more feed it faster and
    take more memory. 0 reads in the training process."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, CocoData):
            raise InputError(f"{self.name} reads COCO's layout; start from a preset of its own")
        if min(self.image_size) < 32 or any(side % 32 for side in self.image_size):
            raise InputError(f"image_size={self.image_size}; give multiples of 32, height before width")
        rules.pixels(self, "image_size")
        rules.positive(self, "crop_margin", "sigma")
        rules.share(self, "scale", "turned")
        if self.scale == 1:
            raise InputError("scale=1 shrinks crops to nothing; give less, 0 for none")
        rules.not_negative(self, "rotation", "workers")

    def read(self, train: TrainConfig, fabric: Fabric) -> KeypointSetting:
        from evaluators.tasks.keypoints.setting import KeypointSetting

        return KeypointSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from supernet.attach import attach
        from supernet.networks.pose import SimpleBaseline

        network = SimpleBaseline(self.backbone, len(data["keypoints"]))
        return attach(network, attention, identity=self.identity, input_shape=data["input_shape"])

    def examples(self, number: int) -> list[Image.Image]:
        return first_pictures(self.data, "person_keypoints", number)

    @classmethod
    def look(cls, root: Path) -> str:
        return look(CocoData(root=str(root)), "person_keypoints")

    def summary(self) -> str:
        return f"{self.name}, {self.backbone}, {self.image_size[0]}x{self.image_size[1]}"

    def smoke(self) -> Keypoints:
        data = replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE))
        return replace(self, data=data, backbone="resnet18", weights=None, image_size=(128, 96), workers=0)

    def predict(
        self,
        network: nn.Module,
        data: Mapping[str, Any],
        image: Image.Image,
        boxes: Sequence[Sequence[float]] = (),
    ) -> Prediction:
        """Draws the poses that a network sees, with the bones between the keypoints that are seen.

        For each person it returns box, score, and x, y and score of each keypoint by name.

        Args:
            network: A trained network.
            data: The result of `KeypointSetting.describe`.
            image: An image of any size and mode.
            boxes: Left, top, width and height of each person in pixels; none: one person fills the image.
        """
        from evaluators.tasks.keypoints.prediction import predict

        return predict(self, network, data, image, boxes)

    def published(self) -> tuple[str, ...]:
        return (self.backbone,)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        from evaluators.data.picture import as_rgb
        from evaluators.tasks.keypoints.prediction import prepared

        def prepare(image: Image.Image) -> Tensor:
            return prepared(self, as_rgb(image), network)

        return Exportable(
            network, prepare, (3, *self.image_size), any_batch=True, note="heat maps of a person's crop"
        )
