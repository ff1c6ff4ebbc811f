"""Every task asks its network in one way: evaluation mode, no gradients, the precision of the training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from evaluators.evaluating import evaluating
from evaluators.recipe import TrainConfig
from evaluators.tasks import TASKS, TaskConfig
from evaluators.tasks.classification.training import ClassificationTask
from evaluators.tasks.coco_detection.training import DetectionTask
from evaluators.tasks.keypoints.training import KeypointTask
from evaluators.tasks.segmentation.training import SegmentationTask
from foundation.errors import InputError

MIXED = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")


class Watched(nn.Module):
    """Stops at the first question, and keeps how it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm2d(2).eval()  # frozen, while the rest trains
        self.asked: tuple[Any, ...] = ()

    def forward(self, images: Any) -> Any:
        told = self.linear(torch.ones(1, 2))
        self.asked = (told.dtype, told.requires_grad, self.training)
        raise KeyboardInterrupt


def _task(kind: type[Any], **values: Any) -> Any:
    task: Any = object.__new__(kind)
    vars(task).update(fabric=MIXED, **values)
    return task


def _tasks() -> dict[str, Any]:
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    scene = SimpleNamespace(picture=images, labels=torch.zeros(1, 32, 32, dtype=torch.int64))
    crop = SimpleNamespace(picture=images, matrix=torch.eye(2, 3)[None], number=torch.zeros(1))
    sample = SimpleNamespace(image=images[0])
    return {
        "classification": _task(
            ClassificationTask, splits={"test": [(images.float(), torch.zeros(1))]}, top5=False
        ),
        "segmentation": _task(SegmentationTask, splits={"test": [scene]}, classes=("a", "b")),
        "keypoints": _task(
            KeypointTask,
            parts={"test": (None, [crop])},
            partners=[0],
            flip_test=True,
            decode="quarter",
            sigma=2.0,
        ),
        "detection": _task(DetectionTask, streams={"test": [[sample]]}, sets={"test": None}),
    }


@pytest.mark.parametrize("name", list(_tasks()))
def test_a_task_evaluates_in_the_precision_that_it_trains_in(name: str) -> None:
    model = Watched()
    with pytest.raises(KeyboardInterrupt):
        _tasks()[name].evaluate(model, "test")
    assert model.asked == (torch.bfloat16, False, False)
    assert model.training, "stopped or not, the modes come back"
    assert not model.norm.training, "and a frozen norm stays frozen"


def test_only_the_model_is_autocast() -> None:
    a = torch.ones(2, 2)
    with evaluating(nn.Linear(2, 2), MIXED) as ask:
        assert (ask(a).dtype, (a @ a).dtype) == (torch.bfloat16, torch.float32)
    with evaluating(nn.Linear(2, 2)) as ask:
        assert cast(Tensor, ask(a)).dtype == torch.float32


def test_what_a_task_does_not_use_is_refused_by_name() -> None:
    smoothed = TrainConfig(label_smoothing=0.1)
    told = dict[str, str]()
    for name, kind in TASKS.items():
        task = kind.__new__(kind)
        task.refuse_unused(TrainConfig())
        try:
            task.refuse_unused(smoothed)
        except InputError as error:
            told[name] = str(error)
    assert set(told) == {"coco-detection", "coco-keypoints"}
    for name, text in told.items():
        assert text.startswith("label_smoothing is ")
        assert text.endswith(f"leave it out for the task {name}")


def test_a_task_of_a_users_own_is_asked_as_well() -> None:
    class Own(TaskConfig):
        name = "own"
        unused = {"clip": "has no gradient here"}  # noqa: RUF012

    with pytest.raises(InputError, match="clip has no gradient here; leave it out for the task own"):
        Own().refuse_unused(TrainConfig(clip=1.0))
