"""A few pictures of noise for each task, with what its readers want beside them, and a few sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PART = "few"
"""Name of the one part of COCO's and the scenes' layouts: trained on and evaluated."""

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
KEYPOINTS = ("nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right")))


def write_classes(root: Path) -> None:
    """ImageNet's layout: four pictures in each of three classes, train and val."""
    for part in ("train", "val"):
        for number in range(12):
            path = root / part / "abc"[number % 3] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            _noise(number).save(path)


def write_coco(root: Path) -> None:
    """COCO's layout: four pictures with two persons each, for detection and for keypoints."""
    (root / "annotations").mkdir(parents=True)
    (root / PART).mkdir()
    person = {"id": 1, "name": "person", "keypoints": KEYPOINTS, "skeleton": [[1, 2]]}
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [person]}
    for number in range(4):
        name = f"{number}.png"
        _noise(number).save(root / PART / name)
        content["images"].append({"id": number, "file_name": name, "width": 80, "height": 64})
        for x in (4, 42):
            points = [value for k in range(17) for value in (x + 2 * k, 10 + 2 * k, 2)]
            content["annotations"].append(
                {
                    "id": 2 * number + (x > 4),
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [x, 6, 35, 50],
                    "area": 1000.0,
                    "keypoints": points,
                    "num_keypoints": 17,
                }
            )
    for kind in ("instances", "person_keypoints"):
        (root / "annotations" / f"{kind}_{PART}.json").write_text(json.dumps(content))


def write_sentences(root: Path) -> None:
    """Parallel text: 30, 5 and 6 sentences of a small language, and their translations word by word."""
    words = {"hund": "dog", "mann": "man", "baum": "tree", "sieht": "sees", "mag": "likes", "nimmt": "takes"}
    draw = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 30), ("val", 5), ("test", 6)):
        lines = [draw.choice(list(words), draw.integers(2, 6)) for _ in range(count)]
        (root / f"{part}.de").write_text("".join(f"{' '.join(line)}\n" for line in lines))
        (root / f"{part}.en").write_text(
            "".join(f"{' '.join(words[word] for word in line)}\n" for line in lines)
        )


def write_scenes(root: Path) -> None:
    """Four pictures, and a folder of as many label pictures of three classes."""
    for folder in (PART, f"{PART}annot"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        _noise(number).save(root / PART / f"{number}.png")
        labels = np.random.default_rng(number).integers(0, 3, (64, 80), dtype=np.uint8)
        Image.fromarray(labels).save(root / f"{PART}annot" / f"{number}.png")


def _noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 80, 3), dtype=np.uint8))
