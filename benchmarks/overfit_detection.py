"""Whether a detector learns a handful of real images by heart: targets, losses, decoding and score together.

Trains and evaluates on the same images of COCO's val2017, on one thread, and prints AP and AP50.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from lightning.fabric import Fabric

from evaluators.data.coco import CocoData
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.coco_detection import CocoDetection
from evaluators.train import Training
from search_space.grammar import parse_attention
from supernet.networks.config import DetectorConfig


@dataclass(frozen=True, kw_only=True)
class Options:
    """Overfits detectors."""

    root: str
    """Folder of COCO, with `annotations` and `val2017`."""
    detector: str = "faster_rcnn"
    """Detector."""
    backbone: str = "resnet18"
    """Its ResNet."""
    attentions: tuple[str, ...] = ("none", "se", "hoga")
    """What is attached to it, one after the other."""
    images: int = 8
    """The first images listed that have one to `most` objects, none smaller than `least`."""
    most: int = 4
    """Objects on an image."""
    least: int = 96
    """Side in pixels of the square that the smallest object would fill; 96 is what COCO calls large."""
    size: int = 96
    """Shorter side of an image; ssd300 has its own."""
    steps: int = 300
    """Steps."""
    batch: int = 2
    """Images of a step."""
    regions: int = 64
    """Regions of an image that faster_rcnn learns from; the papers take 512."""
    report: int = 50
    """Steps between two lines about the loss, on standard error."""
    learning_rate: float = 5e-4
    """Learning rate of Adam."""
    seed: int = 0
    """Seed of the weights and of the order of the images."""


def overfit(options: Options, attention: str) -> dict[str, Any]:
    """Trains one detector, and evaluates it on what it was trained on."""
    per_epoch = options.images // options.batch
    task = CocoDetection(
        data=CocoData(root=options.root, train="val2017", test="val2017"),
        detector=DetectorConfig(
            name=options.detector,
            backbone=options.backbone,
            min_sizes=(options.size,),
            max_size=2 * options.size,
            regions=options.regions,
        ),
        changes="none",
        empty=True,
        workers=0,
    )
    recipe = TrainConfig(
        epochs=options.steps // per_epoch,
        batch_size=options.batch,
        optimizer="adam",
        learning_rate=options.learning_rate,
        weight_decay=0.0,
        warmup_steps=min(20, options.steps // 3),
        clip=5.0,
        validation_fraction=0.0,
        select="last",
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    setting = task.read(recipe, fabric)
    few = [
        place
        for place, found in enumerate(setting.train.annotations)
        if 1 <= len(found) <= options.most
        and min(annotation.area or 0 for annotation in found) >= options.least**2
    ]
    setting.train = setting.test = setting.train.select(few[: options.images])
    network = new_network(task, setting.describe(), parse_attention(attention), options.seed)
    job = Training(setting.start(network, options.seed), recipe, fabric, options.seed)
    start = time.process_time()
    while job.step < job.total_steps:
        job.advance()
        if job.step % options.report == 0:
            loss = job.figures.means()["loss"]
            print(f"{attention} step {job.step}: loss {loss:.3f}", file=sys.stderr, flush=True)
    seconds = time.process_time() - start
    scores = job.result()
    return {
        "detector": options.detector,
        "backbone": options.backbone,
        "attention": attention,
        "objects": sum(map(len, setting.train.annotations)),
        "images": options.images,
        "batch": options.batch,
        "steps": job.total_steps,
        "loss": round(job.report()["train_loss"], 4),
        "AP": round(scores["test_AP"], 4),
        "AP50": round(scores["test_AP50"], 4),
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
