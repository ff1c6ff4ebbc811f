"""Human poses: a heat map for each keypoint of a person's crop, average precision by keypoint similarity."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from evaluators.data.coco import CocoData, CocoSet, first_pictures, held_out, read_coco
from evaluators.data.mirror import tell_partners
from evaluators.data.people import (
    Person,
    annotated_people,
    detected_people,
    mirror_partners,
    person_category,
)
from evaluators.data.person_crops import (
    Jitter,
    PersonCrop,
    PersonCrops,
    collate_crops,
    crop_matrix,
    cut_out,
)
from evaluators.data.picture import as_rgb
from evaluators.data.pixels import MEAN, STD, normalized
from evaluators.data.stream import Stream
from evaluators.evaluating import evaluating
from evaluators.gather import gather
from evaluators.heat_maps import draw_maps, reaches, to_cells
from evaluators.metrics.coco import coco_metrics, need_coco
from evaluators.poses import SEEN, Pose, coco_results, find_poses
from evaluators.recipe import TrainConfig
from evaluators.tasks import Exportable, Prediction, Split, TaskConfig, task
from evaluators.tasks.classification import real_dtype
from search_space.config import config
from search_space.errors import InputError
from search_space.grammar import Term
from supernet.attach import attach
from supernet.networks.pose import STRIDE, SimpleBaseline

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from PIL import Image

log = logging.getLogger(__name__)


SMOKE = 32
"""Pictures of a first look; about half of them show somebody."""


@task("coco-keypoints")
@config
class Keypoints(TaskConfig):
    """Poses of the persons of COCO, each found in a crop around the person.

    Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018
    (arXiv:1804.06208); numbers that the paper does not state are those of the authors' code.
    """

    preset: ClassVar[str] = "coco-keypoints"
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "is for classes, and heat maps have none"}

    data: CocoData = CocoData()
    """The pictures, with `person_keypoints` annotations."""
    detections: str | None = None
    """File of detections in COCO's result format, whose person boxes are evaluated at the end; none: the
    annotated boxes."""
    backbone: str = "resnet50"
    """torchvision ResNet whose blocks attention is attached to."""
    image_size: tuple[int, int] = (256, 192)
    """Height and width of a crop in pixels, multiples of 32."""
    margin: float = 1.25
    """Sides of a crop, in those of the person's box."""
    sigma: float = 2.0
    """Standard deviation of the Gaussians to learn, in cells of 4x4 pixels."""
    scale: float = 0.3
    """Random change of a training crop's size: deviation, and most, as a share."""
    rotation: float = 40.0
    """Random turn of a training crop in degrees: deviation, and half of the most."""
    turned: float = 0.6
    """Share of the training crops that are turned."""
    flip: bool = True
    """Mirror half of the training crops."""
    flip_test: bool = True
    """Evaluate with the mean of the heat maps of a crop and of its mirror image."""
    workers: int = 4
    """Processes that read pictures ahead; 0 reads in the training itself."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, CocoData):
            raise InputError(f"{self.name} reads COCO's layout; start from a preset of its own")
        if min(self.image_size) < 32 or any(side % 32 for side in self.image_size):
            raise InputError(f"image_size={self.image_size}; give multiples of 32, height before width")
        for name in ("margin", "sigma"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} is not positive")
        for name in ("scale", "turned"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} is not in 0 ... 1")
        if self.scale == 1:
            raise InputError("scale=1 shrinks crops to nothing; give less, 0 for none")
        for name in ("rotation", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")

    def read(self, train: TrainConfig, fabric: Fabric) -> KeypointSetting:
        return KeypointSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        network = SimpleBaseline(self.backbone, len(data["keypoints"]))
        return attach(network, attention, identity=self.identity, input_shape=data["input_shape"])

    def examples(self, number: int) -> list[Image.Image]:
        return first_pictures(self.data, "person_keypoints", number)

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

        It tells of each person its box, score, and x, y and score of each keypoint by name.

        Args:
            network: A trained network.
            data: What `describe` told.
            image: Any picture.
            boxes: Left, top, width and height of each person in pixels; none: one person fills the picture.
        """
        from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
        from torchvision.utils import draw_keypoints

        picture = as_rgb(image)
        people = [tuple(map(float, box)) for box in boxes] or [(0.0, 0.0, *map(float, picture.size))]
        matrices = np.stack([crop_matrix(box, self.image_size, margin=self.margin) for box in people])
        crops = torch.stack([cut_out(picture, matrix, self.image_size) for matrix in matrices])
        weight = next(network.parameters())
        inputs = normalized(crops, weight.device, weight.dtype)
        names = data["keypoints"]
        partners = mirror_partners(names) if self.flip_test else None
        with evaluating(network) as ask:
            poses = find_poses(ask, inputs, matrices, range(len(people)), partners)
        drawn = draw_keypoints(
            pil_to_tensor(picture),
            torch.from_numpy(np.stack([pose.points for pose in poses])),
            connectivity=[(first - 1, second - 1) for first, second in data["skeleton"]],
            colors="lime",
            radius=max(2, min(picture.size) // 100),
            visibility=torch.from_numpy(np.stack([pose.heights > SEEN for pose in poses])),
        )
        found = [
            {
                "box": [round(value, 1) for value in box],
                "score": round(pose.score, 4),
                "keypoints": {
                    name: [round(float(value), 3) for value in (*pose.points[k], pose.heights[k])]
                    for k, name in enumerate(names)
                },
            }
            for box, pose in zip(people, poses)
        ]
        return Prediction(to_pil_image(drawn), found)

    def published(self) -> tuple[str, ...]:
        return (self.backbone,)

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        def prepare(image: Image.Image) -> Tensor:
            picture = as_rgb(image)
            whole = crop_matrix((0.0, 0.0, *map(float, picture.size)), self.image_size, margin=self.margin)
            weight = next(network.parameters())
            return normalized(cut_out(picture, whole, self.image_size)[None], weight.device, weight.dtype)

        return Exportable(
            network, prepare, (3, *self.image_size), any_batch=True, note="heat maps of a person's crop"
        )


@dataclass(frozen=True, eq=False)
class People:
    """A part of the data to evaluate: the pictures with their annotations, and the persons to look at."""

    coco: CocoSet
    people: Sequence[Person]


class KeypointSetting:
    """Annotations read and split by pictures; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the data cannot be read.
    """

    score: str = "AP"

    def __init__(self, config: Keypoints, train: TrainConfig, fabric: Fabric) -> None:
        need_coco()
        config.refuse_unused(train)
        self.config, self.recipe, self.fabric = config, train, fabric
        self.input_shape: tuple[int, int, int] = (3, *config.image_size)
        data = config.data
        learned, test = (read_coco(data, "person_keypoints", part) for part in (data.train, data.test))
        self.person = person_category(learned)
        tested = person_category(test)
        if (tested.id, tested.keypoints) != (self.person.id, self.person.keypoints):
            raise InputError(
                f"{test.file} has other keypoints, or another id of persons, than {learned.file}"
            )
        self.partners = mirror_partners(self.person.keypoints)
        if config.flip or config.flip_test:
            tell_partners(self.person.keypoints, self.partners)
        self.validation: People | None = None
        if train.validation_fraction:
            learned, held = held_out(learned, train.validation_fraction)
            self.validation = _annotated(held)
        self.train = _annotated(learned)
        self.test = _annotated(test)
        if config.detections is not None:
            self.test = People(test, detected_people(test, config.detections))
        log.info("%d persons to train on, %d to look at", len(self.train.people), len(self.test.people))

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "keypoints": list(self.person.keypoints),
            "skeleton": [list(bone) for bone in self.person.skeleton],
            "mean": list(MEAN),
            "std": list(STD),
        }

    def start(self, network: nn.Module, seed: int) -> KeypointTask:
        config, parts = self.config, {"validation": self.validation, "test": self.test}
        jitter = Jitter(scale=config.scale, degrees=config.rotation, turned=config.turned, flip=config.flip)
        return KeypointTask(
            network,
            self._stream(self.train, seed, jitter),
            self.fabric,
            parts={
                name: None if part is None else (part, self._stream(part, seed))
                for name, part in parts.items()
            },
            category=self.person.id,
            partners=self.partners,
            image_size=config.image_size,
            sigma=config.sigma,
            flip_test=config.flip_test,
        )

    def _stream(self, part: People, seed: int, jitter: Jitter | None = None) -> Stream:
        config = self.config
        crops = PersonCrops(part.coco, part.people, config.image_size, config.margin, self.partners, jitter)
        return Stream.of(
            crops,
            self.recipe.part_size,
            self.fabric,
            collate=collate_crops,
            seed=seed,
            training=jitter is not None,
            num_workers=config.workers,
        )


def _annotated(coco: CocoSet) -> People:
    tally = coco.tally("persons")
    people = annotated_people(coco, tally)
    if not people:
        raise InputError(
            f"none of the {len(coco)} pictures in use of {coco.file.name} has a person with keypoints"
        )
    tally.tell()
    return People(coco, people)


class KeypointTask:
    """A network, its crops, and whom to look for; see `Task`.

    Args:
        model: Images (b, 3, h, w) to heat maps (b, k, h / 4, w / 4).
        train: Augmented, shuffled crops.
        fabric: Device and processes.
        parts: Name of a split to its persons and their crops; None where there is none.
        category: Id of persons.
        partners: For each keypoint the one it is in the mirror.
        image_size: Height and width of a crop.
        sigma: Of the Gaussians to learn, in cells.
        flip_test: Whether crops are evaluated together with their mirror image.
    """

    figures: tuple[str, ...] = ()
    score: str = "AP"

    def __init__(
        self,
        model: nn.Module,
        train: Stream,
        fabric: Fabric,
        *,
        parts: Mapping[str, tuple[People, Stream] | None],
        category: int,
        partners: Sequence[int],
        image_size: tuple[int, int],
        sigma: float,
        flip_test: bool,
    ) -> None:
        self.model, self.train, self.fabric, self.parts = model, train, fabric, parts
        self.category, self.partners = category, list(partners)
        self.map_size = (image_size[0] // STRIDE, image_size[1] // STRIDE)
        self.sigma, self.flip_test = sigma, flip_test
        self.num_batches = len(train)
        self.has_validation = parts["validation"] is not None

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images, heat maps to learn, and the weight of each: 1 if the keypoint is labelled and in reach."""
        crop: PersonCrop = self.train.batch(epoch, index)
        device, dtype = self.fabric.device, real_dtype(self.fabric)
        points = to_cells(crop.points.to(device, dtype), STRIDE)
        weights = crop.labelled.to(device, dtype) * reaches(points, self.map_size, self.sigma)
        return normalized(crop.picture, device, dtype), draw_maps(points, self.map_size, self.sigma), weights

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor]:
        """Half the mean squared difference of the heat maps; those of weight 0 count as right."""
        images, targets, weights = batch
        maps = model(images)
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
        difference = (maps - targets) * weights[..., None, None]
        return (difference.square().mean() / 2,)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        part = self.parts[split]
        assert part is not None, f"the task has no {split} part"
        people, crops = part
        found = list[Pose]()
        partners = self.partners if self.flip_test else None
        with evaluating(model, self.fabric) as ask:
            for crop in crops:
                images = normalized(crop.picture, self.fabric.device, real_dtype(self.fabric))
                found += find_poses(ask, images, crop.matrix.numpy(), crop.number.tolist(), partners)
        results = coco_results(gather(self.fabric, found), people.people, people.coco, self.category)
        return coco_metrics(people.coco.truth(), results, "keypoints")
