"""Image classification: cross-entropy, top-1 accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from evaluators.data.config import DataConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from foundation import rules
from foundation.config import config
from search_space.term import Term

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL.Image import Image
    from torch import Tensor, nn

    from evaluators.tasks.classification.setting import ClassificationSetting

SMOKE = 200
"""Images of a first look."""


@task("classification")
@config
class Classification(TaskConfig):
    """Classification of small images that stay on the device."""

    hub_task: ClassVar[str] = "image-classification"
    facts: ClassVar[tuple[str, ...]] = ("input_shape", "num_classes", "classes", "mean", "std")

    data: DataConfig
    """The images; the validation part is the data's own, or else a share of the training set."""
    backbone: str = "cifar_resnet20"
    """The network that attention is attached to; `autola list` names them."""
    width: int | None = None
    """Channels of the backbone's first stage, which scale those of the others: more cost more. Its own if
    left out."""
    depth: int | None = None
    """Blocks of the backbone in all (of a Wide-ResNet, of each stage): more cost more; if left out, its
    own."""

    def __post_init__(self) -> None:
        rules.positive(self, "width", "depth")

    def read(self, train: TrainConfig, fabric: Fabric) -> ClassificationSetting:
        from evaluators.tasks.classification.setting import ClassificationSetting

        return ClassificationSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from evaluators.rebuilding import resized
        from supernet.attach import attach
        from supernet.backbones import build_backbone

        def build() -> nn.Module:
            return build_backbone(
                self.backbone,
                num_classes=data["num_classes"],
                in_channels=data["input_shape"][0],
                width=self.width,
            )

        backbone = resized(build, depth=self.depth)
        return attach(backbone, attention, input_shape=data["input_shape"], identity=self.identity)

    def published(self) -> tuple[str, ...]:
        return (self.backbone,)

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image) -> Prediction:
        from evaluators.data.picture import as_rgb
        from evaluators.evaluating import evaluating
        from evaluators.tasks.classification.pictures import prepared, top_classes

        picture = as_rgb(image)
        with evaluating(network) as ask:
            logits = ask(prepared(data, picture, network))[0]
        return top_classes(logits, data["classes"], picture)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        from evaluators.data.picture import as_rgb
        from evaluators.tasks.classification.pictures import prepared

        def prepare(image: Image) -> Tensor:
            return prepared(data, as_rgb(image), network)

        return Exportable(network, prepare, tuple(data["input_shape"]), any_batch=True)

    def examples(self, number: int) -> list[Image]:
        from PIL import Image

        from evaluators.data import read

        images = read(self.data).test.images[:number]
        return [Image.fromarray(pixels.squeeze(-1).numpy()) for pixels in images]

    def subject(self) -> str:
        return self.data.name

    def summary(self) -> str:
        return f"{self.name} on {self.data.name}, {self.backbone}"

    def smoke(self) -> Classification:
        return replace(self, data=replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE)))
