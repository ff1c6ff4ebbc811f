"""Whether networks learn a handful of real pictures by heart: targets, losses, decoding and score together.

Trains and evaluates on the same: 8 persons of COCO's val2017, or 4 pictures of CamVid. On one thread; prints
the scores.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import tyro
from lightning.fabric import Fabric

from autola.dense_presets import CAMVID
from evaluators.data.coco import CocoData
from evaluators.recipe import TrainConfig
from evaluators.tasks import Setting, TaskConfig, new_network
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.keypoints.people import People, annotated_people
from evaluators.tasks.keypoints.setting import KeypointSetting
from evaluators.tasks.segmentation import Segmentation
from evaluators.train import Training
from search_space.grammar import parse_attention

NUM_PEOPLE, NUM_PICTURES = 8, 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Overfits."""

    root: str
    """Folder of COCO, with `annotations` and `val2017`; or of CamVid, with `train` and `trainannot`."""
    task: Literal["coco-keypoints", "segmentation"] = "coco-keypoints"
    """What is learned."""
    head: Literal["fcn", "deeplabv3"] = "fcn"
    """Network on top of the backbone where the task is segmentation."""
    backbone: str = "resnet18"
    """Its ResNet."""
    attentions: tuple[str, ...] = ("none", "se", "hoga")
    """What is attached to it, one after the other."""
    size: int = 128
    """Height in pixels of a person's crop, whose width is three quarters; or of a picture."""
    crop: int | None = None
    """Side of the squares of a picture that are trained on; its height if left out."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Number format of the arithmetic."""
    steps: int = 300
    """Steps of all persons or pictures."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    seed: int = 0
    """Seed of the weights and of the order of the images."""


def few_people(setting: KeypointSetting) -> KeypointSetting:
    """Leaves the first persons that are alone in their picture and have at least half of their keypoints."""
    coco = setting.test.coco
    alone = [
        number
        for number, found in enumerate(coco.annotations)
        if len(found) == 1 and not found[0].iscrowd and found[0].labelled > 8
    ]
    few = coco.select(alone[:NUM_PEOPLE])
    setting.train = setting.test = People(few, annotated_people(few))
    assert len(setting.train.people) == NUM_PEOPLE
    return setting


def prepared(options: Options, recipe: TrainConfig, fabric: Fabric) -> tuple[TaskConfig, Setting]:
    """The task without augmentation, and its few persons or pictures."""
    if options.task == "coco-keypoints":
        task = Keypoints(
            data=CocoData(root=options.root, train="val2017", test="val2017"),
            backbone=options.backbone,
            image_size=(options.size, options.size * 3 // 4),
            scale=0.0,
            turned=0.0,
            flip=False,
            workers=0,
        )
        return task, few_people(task.read(recipe, fabric))
    data = replace(
        CAMVID, root=options.root, test="train", limit=NUM_PICTURES, image_size=(options.size,) * 2
    )
    task = Segmentation(
        data=data,
        head=options.head,
        backbone=options.backbone,
        crop=options.crop or options.size,
        scales=(1.0, 1.0),
        flip=False,
        workers=0,
    )
    return task, task.read(recipe, fabric)


def overfit(options: Options, attention: str) -> dict[str, Any]:
    """Trains one network, and evaluates it on what it was trained on."""
    keypoints = options.task == "coco-keypoints"
    recipe = TrainConfig(
        epochs=options.steps,
        batch_size=NUM_PEOPLE if keypoints else NUM_PICTURES,
        optimizer="adam",
        learning_rate=options.learning_rate,
        weight_decay=0.0,
        schedule="poly",
        validation_fraction=0.0,
        select="last",
    )
    fabric = Fabric(accelerator="cpu", devices=1, precision=options.precision)
    task, setting = prepared(options, recipe, fabric)
    network = new_network(task, setting.describe(), parse_attention(attention), options.seed)
    job = Training(setting.start(network, options.seed), recipe, fabric, options.seed)
    start = time.process_time()
    while job.step < job.total_steps:
        job.advance()
        if job.step % 50 == 0:
            print(job.step, job.report()["train_loss"], file=sys.stderr, flush=True)
    seconds = time.process_time() - start
    scores = {name.removeprefix("test_"): round(value, 4) for name, value in job.result().items()}
    return {
        "task": options.task,
        "backbone": options.backbone,
        "attention": attention,
        "size": options.size,
        "crop": options.crop,
        "precision": options.precision,
        "steps": job.total_steps,
        "loss": round(job.report()["train_loss"], 6),
        "scores": {name: value for name, value in scores.items() if "IoU_" not in name},
        "cpu_seconds": round(seconds),
        "torch": torch.__version__,
    }


def main() -> None:
    """Prints one JSON object for each attention."""
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    for attention in options.attentions:
        print(json.dumps(overfit(options, attention)), flush=True)


if __name__ == "__main__":
    main()
