"""A segmentation network, its images and its score: what the training loop needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.data.pixels import normalized
from evaluators.data.stream import Stream
from evaluators.evaluating import evaluating
from evaluators.precision import real_dtype
from evaluators.tasks import Split
from evaluators.tasks.segmentation.confusion import confusion_matrix, segmentation_scores
from evaluators.tasks.segmentation.data import IGNORED
from evaluators.tasks.segmentation.scene_crops import Scene
from supernet.networks.segmentation import HEADS

if TYPE_CHECKING:
    from lightning.fabric import Fabric

log = logging.getLogger(__name__)


class SegmentationTask:
    """A network, its crops and images; see `Task`.

    Args:
        model: Images (b, 3, h, w) to `{"out": logits}`, in training also "aux".
        train: Augmented, shuffled crops.
        fabric: Device and processes.
        classes: Names.
        validation: Held-out images; None for none.
        test: Test images.
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
        self._lacking = dict[str, list[str]]()  # what was said of a split is said once

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        return self._on_device(self.train.batch(epoch, index))

    def _on_device(self, scene: Scene) -> tuple[Tensor, Tensor]:
        device = self.fabric.device
        images = normalized(scene.picture, device, real_dtype(self.fabric))
        return images, scene.labels.to(device, non_blocking=True)

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

    def num_passes(self, split: Split) -> int:
        return len(self.splits[split] or ())

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        scenes = self.splits[split]
        assert scenes is not None, f"the task has no {split} part"
        count = len(self.classes)
        matrix = torch.zeros(count, count, dtype=torch.int64, device=self.fabric.device)
        with evaluating(model, self.fabric) as ask:
            for scene in scenes:
                images, labels = self._on_device(scene)
                matrix += confusion_matrix(labels, ask(images)["out"].argmax(1), count)
        whole = torch.as_tensor(self.fabric.all_reduce(matrix, reduce_op="sum")).cpu()
        missing = [name for name, pixels in zip(self.classes, whole.sum(1).tolist()) if not pixels]
        if missing and self._lacking.get(split) != missing:
            self._lacking[split] = missing
            log.warning("the %s images have classes without a pixel: %s", split, ", ".join(missing))
        return segmentation_scores(whole, self.classes)


def synchronise_heads(network: nn.Module, fabric: Fabric) -> None:
    """Has the norms of the heads, which are new, take the statistics of all GPUs' images, in place.

    The norms of the backbone keep to those of their own GPU; `--train.norm` changes that. On a CPU, for which
    torch has no such norms, and with one process nothing changes.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        for name in HEADS:
            head = getattr(network, name, None)
            if head is not None:
                setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(head))
