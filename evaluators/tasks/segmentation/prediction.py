"""The classes that a network sees in an image, in colours, and its logits alone."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.data.picture import as_rgb
from evaluators.data.pixels import normalized
from evaluators.evaluating import evaluating
from evaluators.tasks import Prediction

if TYPE_CHECKING:
    from PIL import Image


def predict(
    network: nn.Module, names: Sequence[str], image: Image.Image, image_size: tuple[int, int] | None
) -> Prediction:
    """Colours the classes that a network sees; see `Segmentation.predict`.

    Args:
        network: A trained network.
        names: Names of the classes.
        image: The image.
        image_size: Height and width to resize it to; None for as it is.
    """
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
    from torchvision.utils import draw_segmentation_masks

    pixels = pil_to_tensor(as_rgb(image))
    weight = next(network.parameters())
    inputs = normalized(pixels[None], weight.device, weight.dtype)
    if image_size is not None:
        inputs = F.interpolate(inputs, image_size, mode="bilinear", antialias=True)
    with evaluating(network) as ask:
        logits = F.interpolate(ask(inputs)["out"], pixels.shape[1:], mode="bilinear")
    classes = logits[0].argmax(0).cpu()
    masks = classes == torch.arange(len(names))[:, None, None]
    drawn = draw_segmentation_masks(pixels, masks, alpha=0.6, colors=[*palette(len(names))])
    shares = masks.double().mean((1, 2)).tolist()
    found = [{"class": name, "share": round(share, 4)} for name, share in zip(names, shares) if share]
    return Prediction(to_pil_image(drawn), sorted(found, key=lambda each: -each["share"]))


def prepared(image: Image.Image, height: int, width: int, network: nn.Module) -> Tensor:
    """An image resized and normalised, (1, 3, h, w)."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    pixels = pil_to_tensor(as_rgb(image).resize((width, height)))
    weight = next(network.parameters())
    return normalized(pixels[None], weight.device, weight.dtype)


class Logits(nn.Module):
    """The logits of a segmentation network alone.

    Args:
        network: Gives them as `out`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


def palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Colours for the classes, as bytes of red, green and blue, all different."""
    # Hues a golden angle apart never come close to their neighbours.
    hues = (0.618034 * number % 1 for number in range(num_classes))
    colours = (hsv_to_rgb(hue, (0.65, 1.0)[k % 2], (1.0, 0.85, 0.7)[k % 3]) for k, hue in enumerate(hues))
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colours]
