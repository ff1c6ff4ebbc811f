"""An image as a classifier wants it, and what it sees there: its likeliest classes, written onto it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from evaluators.data.decode import fit
from evaluators.data.pictures import Normalise
from evaluators.tasks import Prediction
from foundation.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

NUMBER = 5
"""Likeliest classes that are returned and written onto the image."""

SMALLEST = 224
"""Short side in pixels that smaller images are shown at, so that text is legible."""


def prepared(data: Mapping[str, Any], picture: Image, network: nn.Module) -> Tensor:
    """An image as the network wants it: short side resized, centre cropped, normalised; (1, c, h, w)."""
    channels, height, width = data["input_shape"]
    if height != width:
        raise InputError(f"the network wants images of {height}x{width} pixels, and predicts squares alone")
    square = fit(picture, height)
    pixels = np.asarray(square.convert("L") if channels == 1 else square).reshape(height, width, channels)
    weight = next(network.parameters())
    normalise = Normalise(data["mean"], data["std"], weight.dtype)
    return normalise(torch.tensor(pixels).permute(2, 0, 1)[None]).to(weight.device)


def top_classes(logits: Tensor, classes: Sequence[str], image: Image) -> Prediction:
    """The likeliest classes with their probabilities.

    Args:
        logits: (classes,).
        classes: Their names.
        image: The image, in RGB.
    """
    best = logits.double().softmax(0).topk(min(NUMBER, len(classes)))
    found = [
        {"class": classes[index], "score": round(score, 6)}
        for score, index in zip(best.values.tolist(), best.indices.tolist())
    ]
    lines = [f"{entry['class']}  {100 * entry['score']:.1f} %" for entry in found]
    return Prediction(captioned(image, lines), found)


def captioned(image: Image, lines: Sequence[str]) -> Image:
    """An image with lines of text in its upper left corner."""
    from PIL import Image, ImageDraw, ImageFont

    short = min(image.size)
    if short < SMALLEST:
        width, height = (round(side * SMALLEST / short) for side in image.size)
        picture = image.resize((width, height), Image.Resampling.NEAREST)
    else:
        picture = image.copy()
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(11, min(picture.size) // 22))
    text = "\n".join(lines)
    box = draw.multiline_textbbox((4, 2), text, font=font)
    draw.rectangle((0, 0, box[2] + 4, box[3] + 4), fill=(0, 0, 0, 160))
    draw.multiline_text((4, 2), text, font=font, fill=(255, 255, 255))
    return picture
