"""A detector, its batches and its score: what the training loop needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from evaluators.data.coco import CocoSet
from evaluators.data.stream import Stream
from evaluators.evaluating import evaluating
from evaluators.gather import gather
from evaluators.metrics.coco import coco_metrics
from evaluators.precision import real_dtype
from evaluators.tasks import Split
from evaluators.tasks.coco_detection.boxes import BoxSample
from evaluators.tasks.coco_detection.detections import as_records
from supernet.networks.detectors import Detector

if TYPE_CHECKING:
    from lightning.fabric import Fabric

SCORE = "AP"


class DetectionTask:
    """A detector and its batches; see `Task`.

    Losses are torchvision's, their sum is minimised. RetinaNet's is a mean over images, so several processes
    follow the gradient of the whole batch; the others' are means over the regions or boxes that a process
    learns from, as in every public implementation.

    Args:
        model: The detector.
        train: Changed, shuffled training batches.
        streams: Batches of the held-out part, if there is one, and of the test set.
        sets: The same parts with their annotations.
        kind: Kind of the detector.
        fabric: Device and processes.
    """

    score: str = SCORE

    def __init__(
        self,
        model: nn.Module,
        train: Stream,
        streams: Mapping[str, Stream],
        sets: Mapping[str, CocoSet],
        kind: Detector,
        fabric: Fabric,
    ) -> None:
        self.model, self.train, self.streams, self.sets = model, train, streams, sets
        self.kind, self.fabric = kind, fabric
        self.figures = kind.losses
        self.num_batches = len(train)
        self.has_validation = "validation" in streams

    def batch(self, epoch: int, index: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        samples: list[BoxSample] = self.train.batch(epoch, index)
        device, dtype = self.fabric.device, real_dtype(self.fabric)
        targets = [
            {
                "boxes": sample.boxes.to(device, dtype, non_blocking=True),
                "labels": sample.labels.to(device, non_blocking=True) + self.kind.first_label,
            }
            for sample in samples
        ]
        return [self._seen(sample) for sample in samples], targets

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, ...]:
        losses = model(*batch)
        parts = [losses[name] for name in self.figures]
        return torch.stack(parts).sum(), *parts

    def num_passes(self, split: Split) -> int:
        return len(self.streams[split])

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        found, whole = list[dict[str, Any]](), self.sets[split]
        with evaluating(model, self.fabric) as ask:
            for samples in self.streams[split]:
                outputs = ask([self._seen(sample) for sample in samples])
                for sample, output in zip(samples, outputs):
                    found += as_records(output, whole, sample.number, self.kind.first_label)
        return coco_metrics(whole.truth(), gather(self.fabric, found), "bbox")

    def _seen(self, sample: BoxSample) -> Tensor:
        image = sample.image.to(self.fabric.device, non_blocking=True)
        return image.to(real_dtype(self.fabric)).div_(255)
