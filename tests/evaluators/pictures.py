"""Small pictures in folders, in the modes that ImageNet has them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

MODES = ("RGB", "L", "CMYK", "P")


def write_pictures(root: Path, *, each: int = 4, parts: tuple[str, ...] = ("train", "val")) -> Path:
    """Noise around a colour a class, of sizes from 40 x 30 on; returns the root."""
    rng = np.random.default_rng(0)
    for part in parts:
        for label, name in enumerate(("a", "b", "c")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = rng.integers(0, 90, (30 + 7 * number, 40, 3))
                pixels[..., label] += 150
                mode = MODES[number % len(MODES)]
                picture = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
                picture.save(folder / f"{number}.{'png' if mode == 'P' else 'jpg'}")
    return root
