"""A few small pictures in COCO's layout: coloured rectangles, whose colour is their category."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = {3: ("red", (220, 40, 40)), 7: ("green", (40, 220, 40)), 20: ("blue", (40, 40, 220))}
"""Category id to name and colour; the ids have gaps."""


def write_part(root: Path, part: str, *, count: int, seed: int, side: int | None = None) -> None:
    """Pictures of 40 to 64 pixels a side, one or two rectangles each, side by side; the last is empty."""
    rng = random.Random(seed)
    (root / "annotations").mkdir(exist_ok=True)
    (root / part).mkdir()
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(count):
        width, height = (side or rng.randrange(40, 65) for _ in range(2))
        picture = Image.new("RGB", (width, height), (120, 120, 120))
        for half in range(0 if number == count - 1 else rng.randrange(1, 3)):
            w, h = rng.randrange(12, 20), rng.randrange(12, 30)
            x, y = half * width // 2 + rng.randrange(width // 2 - w + 1), rng.randrange(height - h)
            category = rng.choice(list(COLOURS))
            ImageDraw.Draw(picture).rectangle((x, y, x + w - 1, y + h - 1), fill=COLOURS[category][1])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * number + 5,
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        name = f"{number:04}.png"
        picture.save(root / part / name)
        images.append({"id": 10 * number + 5, "file_name": name, "width": width, "height": height})
    categories = [{"id": id, "name": name} for id, (name, _) in COLOURS.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))


def write_squares(root: Path, *, num_train: int = 9, num_test: int = 5, side: int | None = None) -> Path:
    """Both parts; returns the root."""
    write_part(root, "train2017", count=num_train, seed=1, side=side)
    write_part(root, "val2017", count=num_test, seed=2, side=side)
    return root
