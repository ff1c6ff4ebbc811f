"""A network, its crops and its score: what the training loop needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from evaluators.data.pixels import normalized
from evaluators.data.stream import Stream
from evaluators.evaluating import evaluating
from evaluators.gather import gather
from evaluators.metrics.coco import coco_metrics
from evaluators.precision import real_dtype
from evaluators.tasks import Split
from evaluators.tasks.keypoints.decode import Decode
from evaluators.tasks.keypoints.heat_maps import draw_maps, reaches, to_cells
from evaluators.tasks.keypoints.people import People
from evaluators.tasks.keypoints.person_crops import PersonCrop
from evaluators.tasks.keypoints.poses import Pose, coco_results, find_poses
from supernet.networks.pose import STRIDE

if TYPE_CHECKING:
    from lightning.fabric import Fabric


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
        sigma: Standard deviation of the Gaussians to learn, in cells.
        flip_test: Whether crops are evaluated together with their mirror image.
        decode: How peaks are refined.
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
        decode: Decode = "quarter",
    ) -> None:
        self.model, self.train, self.fabric, self.parts = model, train, fabric, parts
        self.category, self.partners = category, list(partners)
        self.map_size = (image_size[0] // STRIDE, image_size[1] // STRIDE)
        self.sigma, self.flip_test = sigma, flip_test
        self.decode: Decode = decode
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

    def num_passes(self, split: Split) -> int:
        part = self.parts[split]
        return 0 if part is None else len(part[1]) * (2 if self.flip_test else 1)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        part = self.parts[split]
        assert part is not None, f"the task has no {split} part"
        people, crops = part
        found = list[Pose]()
        partners = self.partners if self.flip_test else None
        with evaluating(model, self.fabric) as ask:
            for crop in crops:
                images = normalized(crop.picture, self.fabric.device, real_dtype(self.fabric))
                numbers = crop.number.tolist()
                found += find_poses(
                    ask, images, crop.matrix.numpy(), numbers, partners, self.decode, self.sigma
                )
        results = coco_results(gather(self.fabric, found), people.people, people.coco, self.category)
        return coco_metrics(people.coco.truth(), results, "keypoints")
