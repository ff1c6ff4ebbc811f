"""Small pictures with poses or labels, and a small ResNet, for tests of dense tasks."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.fabric import Fabric
from PIL import Image
from torch import nn

from evaluators.recipe import TrainConfig
from evaluators.tasks import TaskConfig, new_network
from evaluators.train import Training
from search_space.grammar import parse_attention
from supernet.backbones import BACKBONES
from supernet.networks import pose

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
KEYPOINTS = ("nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right")))
SKELETON = [[16, 14], [14, 12], [6, 7], [1, 2]]

TINY = "tiny_resnet"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a torchvision ResNet of one block a stage and 4 to 32 channels; poses get 8 more."""

    def build(*, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module:
        from torchvision.models.resnet import BasicBlock, ResNet

        class Narrow(ResNet):
            def _make_layer(self, block: Any, planes: int, *args: Any, **options: Any) -> nn.Sequential:
                return super()._make_layer(block, planes // 16, *args, **options)

        network = Narrow(BasicBlock, [1, 1, 1, 1])
        network.fc = nn.Linear(32, num_classes)
        return network

    BACKBONES._load()
    monkeypatch.setitem(BACKBONES._entries, TINY, build)
    monkeypatch.setattr(pose, "SimpleBaseline", partial(pose.SimpleBaseline, channels=8))
    return TINY


def person(number: int, image: int, box: tuple[float, ...], **changes: Any) -> dict[str, Any]:
    """An annotation with all keypoints visible somewhere in the box, but the last one."""
    random = np.random.default_rng(number)
    x, y, w, h = box
    points = np.column_stack((random.uniform(x, x + w, 17), random.uniform(y, y + h, 17), np.full(17, 2.0)))
    points[-1] = 0
    record = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": list(box),
        "area": 0.6 * w * h,
        "iscrowd": 0,
        "keypoints": points.round().flatten().tolist(),
        "num_keypoints": 16,
    }
    return record | changes


def write_people(root: Path, part: str = "few", num_images: int = 4) -> dict[str, Any]:
    """Pictures 64x80 with two persons each; the content of the annotation file."""
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": KEYPOINTS, "skeleton": SKELETON}],
    }
    (root / part).mkdir(parents=True, exist_ok=True)
    for number in range(num_images):
        random = np.random.default_rng(number)
        name = f"{number:03}.png"
        Image.fromarray(random.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(root / part / name)
        content["images"].append({"id": number + 10, "file_name": name, "width": 80, "height": 64})
        for side, box in enumerate(((4.0, 5.0, 30.0, 50.0), (40.0, 8.0, 35.0, 40.0))):
            content["annotations"].append(person(2 * number + side + 1, number + 10, box))
    store_people(root, content, part)
    return content


def store_people(root: Path, content: dict[str, Any], part: str = "few") -> None:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"person_keypoints_{part}.json").write_text(json.dumps(content))


def write_scenes(root: Path, part: str = "few", num_images: int = 4, num_classes: int = 3) -> None:
    """Pictures 40x56 of coloured patches; a patch without a class is 255."""
    for folder in (part, f"{part}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(num_images):
        random = np.random.default_rng(number)
        labels = np.kron(random.integers(0, num_classes, (5, 7)), np.ones((8, 8))).astype(np.uint8)
        pixels = np.stack((40 * labels, 200 - 60 * labels, 30 + 0 * labels), -1)
        labels[:8, :8] = 255
        for folder, image in ((part, pixels), (f"{part}annot", labels)):
            Image.fromarray(image.astype(np.uint8)).save(root / folder / f"{number}.png")


def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision="64-true")


def start(config: TaskConfig, recipe: TrainConfig, attention: str = "none", seed: int = 5) -> Training:
    """A training at step 0, in float64."""
    setting = config.read(recipe, fabric())
    network = new_network(config, setting.describe(), parse_attention(attention), seed)
    return Training(setting.start(network, seed), recipe, fabric(), seed)


class Telling(nn.Module):
    """Says the same whatever it sees."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def forward(self, images: Any) -> Any:
        return self.said
