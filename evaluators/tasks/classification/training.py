"""A classifier, its batches and its score: what the training loop needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.evaluating import evaluating
from evaluators.job import wide
from evaluators.tasks import Split
from evaluators.tasks.classification.loss import accuracy, cross_entropy

if TYPE_CHECKING:
    from lightning.fabric import Fabric

SCORE = "accuracy"


class LabelledBatches(Protocol):
    """Images (b, c, h, w) on the device, normalised, with their labels (b,)."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """This process's share of a batch."""
        ...


class ClassificationTask:
    """A classifier and its batches; see `Task`.

    Args:
        model: Images (b, c, h, w) to logits (b, classes).
        train: Augmented, shuffled training batches.
        fabric: Device and processes.
        validation: Held-out batches; None for none.
        test: Test batches; None where the test set is not to be seen.
        label_smoothing: Share of the target spread evenly over the classes.
        mixing: A function from a training batch's images and labels to mixed images and class shares.
        top5: Whether evaluation also gives the share of labels among the five likeliest classes.
    """

    figures: tuple[str, ...] = ("accuracy",)
    score: str = SCORE

    def __init__(
        self,
        model: nn.Module,
        train: LabelledBatches,
        fabric: Fabric,
        *,
        validation: LabelledBatches | None = None,
        test: LabelledBatches | None = None,
        label_smoothing: float = 0.0,
        mixing: nn.Module | None = None,
        top5: bool = False,
    ) -> None:
        self.model, self.train, self.fabric = model, train, fabric
        self.splits = {"validation": validation, "test": test}
        self.label_smoothing, self.mixing, self.top5 = label_smoothing, mixing, top5
        self.num_batches = len(train)
        self.has_validation = validation is not None

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        return self.train.batch(epoch, index)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        images, labels = batch if self.mixing is None else self.mixing(*batch)
        logits = model(images)
        return cross_entropy(logits, labels, self.label_smoothing), accuracy(logits, labels)

    def num_passes(self, split: Split) -> int:
        return len(self.splits[split] or ())

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        batches = self.splits[split]
        assert batches is not None, f"the task has no {split} part"
        return evaluate(model, batches, self.fabric, top5=self.top5)


def evaluate(
    model: nn.Module, batches: LabelledBatches, fabric: Fabric, *, top5: bool = False
) -> dict[str, float]:
    """Mean cross-entropy, top-1 and perhaps top-5 accuracy over all images of all processes, in eval mode."""
    real = wide(fabric.device)
    sums = torch.zeros(4, dtype=real, device=fabric.device)
    with evaluating(model, fabric) as ask:
        for images, labels in batches:
            logits = ask(images)
            loss = F.cross_entropy(logits.to(real), labels, reduction="sum")
            first = (logits.argmax(1) == labels).sum()
            five = (logits.topk(min(5, logits.shape[1])).indices == labels[:, None]).sum()
            sums += torch.stack((loss, first.to(real), five.to(real), torch.full_like(loss, len(labels))))
    loss, first, five, count = torch.as_tensor(fabric.all_reduce(sums, reduce_op="sum")).tolist()
    metrics = {"loss": loss / count, "accuracy": first / count}
    return metrics | {"top5_accuracy": five / count} if top5 else metrics
