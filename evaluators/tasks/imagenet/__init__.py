"""ImageNet classification, or that of any images in folders too many to keep in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, TaskConfig, task
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term, label

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL.Image import Image
    from torch import Tensor, nn

    from evaluators.tasks.imagenet.setting import ImageNetSetting

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's channels, as in the scripts of torchvision and of CBAM's
authors."""

MEAN_COLOUR = (124, 116, 104)
"""What an erased part becomes: nearly 0 once normalised."""

SMOKE = 200
"""Images of each part in a first look."""


@config
class ImageNetData:
    """Where the images lie, and how many of them are used."""

    root: str | None = None
    """Path of the folder that holds train and val. Where it holds test as well, val is for validation."""
    limit: int | None = None
    """The most images to use of each part, evenly from first to last; all if left out."""

    def __post_init__(self) -> None:
        rules.positive(self, "limit")


@task("imagenet")
@config
class ImageNet(TaskConfig):
    """Classification of images read from the disk as ImageNet is: train/ and val/, a folder a class."""

    preset: ClassVar[str] = "imagenet"
    hub_task: ClassVar[str] = "image-classification"
    facts: ClassVar[tuple[str, ...]] = ("input_shape", "num_classes", "classes", "mean", "std")
    old_names: ClassVar[Mapping[str, str]] = {"root": "data.root", "limit": "data.limit"}

    data: ImageNetData = ImageNetData()
    """The images."""
    backbone: str = "resnet50"
    """The network that attention is attached to; `autola list` names them."""
    width: int | None = None
    """Width of the backbone, built anew: channels of the first bottlenecks' 3x3 convolutions, 64 in a
    ResNet-50, or of the first stage; its own if left out."""
    depth: int | None = None
    """Blocks of the backbone in all (of a Wide-ResNet of autola, of each stage); its own if left out."""
    image_size: int = 224
    """Side in pixels of the centre crop that is evaluated; larger shows more and costs more time and
    memory."""
    resize: int = 256
    """Short side in pixels that an image is resized to before that crop; larger cuts off more of its rim."""
    train_size: int | None = None
    """Side in pixels of the random crops that are trained on; smaller trains faster. `image_size` if left
    out."""
    augment: bool = True
    """Crop training images at random (8 to 100 % of the area, 3:4 to 4:3) and mirror half of them; off takes
    the centre."""
    trivial_augment: bool = False
    """Change each training image by one random operation of random strength, TrivialAugment
    (arXiv:2103.10158)."""
    erase: float = 0.0
    """Share of the training images that a random part is erased from; higher regularises more. 0 for none
    (arXiv:1708.04896)."""
    mixup: float = 0.0
    """Alpha of the distribution of shares by which pairs of training images are blended; higher blends more
    evenly. 0 for none; with cutmix, each batch draws one of the two (arXiv:1710.09412)."""
    cutmix: float = 0.0
    """Alpha of the distribution of areas by which parts of other training images are pasted into them; higher
    pastes more evenly. 0 for none (arXiv:1905.04899)."""
    workers: int = 8
    """Processes for each device that read images ahead, no more than there are cores; more feed it faster and
    take more memory. 0 reads in the training process."""

    def __post_init__(self) -> None:
        rules.positive(self, "image_size", "resize", "train_size", "width", "depth")
        rules.pixels(self, "image_size", "resize", "train_size")
        rules.not_negative(self, "mixup", "cutmix", "workers")
        rules.share(self, "erase")
        if self.resize < self.image_size:
            raise InputError(
                f"a crop of {self.image_size} pixels does not fit into a short side of {self.resize}; "
                "give a larger resize"
            )

    def read(self, train: TrainConfig, fabric: Fabric) -> ImageNetSetting:
        from evaluators.tasks.imagenet.setting import ImageNetSetting

        return ImageNetSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from evaluators.rebuilding import resized
        from supernet.attach import attach
        from supernet.backbones import build_backbone

        if self.train_size not in (None, self.image_size):
            for term in attention:
                if term.wants_size:
                    raise InputError(
                        f"{label((term,))} is made for one size of map: it cannot train on crops of "
                        f"{self.train_size} pixels and be evaluated on {self.image_size}; give one size"
                    )

        def build() -> nn.Module:
            return build_backbone(self.backbone, num_classes=data["num_classes"])

        backbone = resized(build, width=self.width, depth=self.depth)
        return attach(backbone, attention, input_shape=data["input_shape"], identity=self.identity)

    def published(self) -> tuple[str, ...]:
        return (self.backbone,)

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image) -> Prediction:
        from evaluators.data.picture import as_rgb
        from evaluators.evaluating import evaluating
        from evaluators.tasks.classification.pictures import top_classes

        picture = as_rgb(image)
        with evaluating(network) as ask:
            logits = ask(self._prepared(data, picture, network))[0]
        return top_classes(logits, data["classes"], picture)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        from evaluators.data.picture import as_rgb

        def prepare(image: Image) -> Tensor:
            return self._prepared(data, as_rgb(image), network)

        return Exportable(network, prepare, tuple(data["input_shape"]), any_batch=True)

    def examples(self, number: int) -> list[Image]:
        from evaluators.data.pictures import list_pictures, open_picture
        from evaluators.tasks.imagenet.setting import root_of

        root = root_of(self.data)
        return [open_picture(file) for file in list_pictures(last_part(root)).spread(number).files]

    def _prepared(self, data: Mapping[str, Any], picture: Image, network: nn.Module) -> Tensor:
        from evaluators.data.pictures import Normalise

        weight = next(network.parameters())
        normalise = Normalise(data["mean"], data["std"], weight.dtype)
        return normalise(self.centre_crop()(picture)[None]).to(weight.device)

    def centre_crop(self) -> Callable[[Image], Tensor]:
        """A function from an image to the bytes that are evaluated, (3, image_size, image_size)."""
        from torchvision.transforms import v2

        steps = [v2.Resize(self.resize), v2.CenterCrop(self.image_size), v2.PILToTensor()]
        return v2.Compose(steps)

    def random_crop(self) -> Callable[[Image], Tensor]:
        """A function from an image to the bytes that are trained on, (3, train_size, train_size)."""
        from torchvision.transforms import v2

        size = self.train_size or self.image_size
        if not self.augment:
            return v2.Compose([v2.Resize(self.resize), v2.CenterCrop(size), v2.PILToTensor()])
        steps: list[nn.Module] = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
        if self.trivial_augment:
            steps.append(v2.TrivialAugmentWide())
        steps.append(v2.PILToTensor())
        if self.erase:
            colour: Any = MEAN_COLOUR  # torchvision's hint knows single numbers alone
            steps.append(v2.RandomErasing(self.erase, value=colour))
        return v2.Compose(steps)

    def mixing(self, num_classes: int) -> nn.Module | None:
        """A module from a batch's images and labels to mixed images and class shares; None for none."""
        from torchvision.transforms import v2

        ways: list[nn.Module] = []
        if self.mixup:
            ways.append(v2.MixUp(alpha=self.mixup, num_classes=num_classes))
        if self.cutmix:
            ways.append(v2.CutMix(alpha=self.cutmix, num_classes=num_classes))
        return v2.RandomChoice(ways) if ways else None

    @classmethod
    def look(cls, root: Path) -> str:
        from evaluators.data.folder import look
        from evaluators.tasks.imagenet.setting import root_of

        return look(root_of(ImageNetData(root=str(root))))

    def subject(self) -> str:
        return Path(self.data.root).resolve().name if self.data.root else self.name

    def summary(self) -> str:
        return f"{self.name}, {self.backbone}"

    def smoke(self) -> ImageNet:
        return replace(
            self,
            backbone="resnet18",
            image_size=64,
            resize=72,
            train_size=None,
            workers=0,
            data=replace(self.data, limit=min(self.data.limit or SMOKE, SMOKE)),
        )


def last_part(root: Path) -> Path:
    """The part to test on: test, or val where there is no test."""
    from evaluators.data.parts import find_parts

    parts = find_parts(root)
    return parts.get("test") or parts.get("val") or root / "val"
