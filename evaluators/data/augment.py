"""Pad-crop, flip and cutout of a whole batch at once, on its device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from evaluators.data.config import DataConfig
from foundation.errors import InputError


class Draws(NamedTuple):
    """What chance decided for each image of a batch; all of shape (b,).

    `top`, `left`: corner of the crop in the padded image. `mirrored`: whether to flip. `row`, `column`:
    centre of the square cut out.
    """

    top: Int64[Tensor, "b"]
    left: Int64[Tensor, "b"]
    mirrored: Bool[Tensor, "b"]
    row: Int64[Tensor, "b"]
    column: Int64[Tensor, "b"]

    def share(self, start: int, stop: int) -> Draws:
        """The draws of a part of the batch."""
        return Draws(*(draw[start:stop] for draw in self))


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of training images.

    Args:
        padding: Black pixels added on each side before cropping back to size; 0: off.
        flip: Whether to mirror half of the images.
        cutout: Side of the square that is set to zero after normalisation; 0: off.
    """

    padding: int = 0
    flip: bool = False
    cutout: int = 0

    @classmethod
    def of(cls, config: DataConfig) -> Augment:
        """What `config` asks for; a mirrored digit is no digit, so they are never mirrored."""
        flip = config.flip and config.name != "digits"
        return cls(padding=config.padding, flip=flip, cutout=config.cutout)

    def check(self, height: int, width: int) -> None:
        """Checks that images of this size survive.

        Raises:
            InputError: If crops could lose more than half of a side, or the square is larger than the image.
        """
        side = min(height, width)
        if self.padding > side // 2:
            raise InputError(
                f"padding {self.padding} is too much for images of {height}x{width}; "
                f"give at most half the side, {side // 2}"
            )
        if self.cutout > side:
            raise InputError(
                f"a cutout of {self.cutout} pixels is larger than images of {height}x{width}; "
                f"give at most {side}"
            )

    def draw(self, num_images: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draws for `num_images` images, on the generator's device; all of them, whatever is switched on."""

        def below(limit: int) -> Tensor:
            return torch.randint(limit, (num_images,), generator=generator, device=generator.device)

        shifts = 2 * self.padding + 1
        return Draws(below(shifts), below(shifts), below(2) == 1, below(height), below(width))

    def move(self, images: UInt8[Tensor, "b h w c"], draws: Draws) -> UInt8[Tensor, "b h w c"]:
        """Crops and flips."""
        if not (self.padding or self.flip):
            return images
        b, h, w, c = images.shape
        padded = F.pad(images, (0, 0, *(self.padding,) * 4)) if self.padding else images
        rows, columns = torch.arange(h, device=images.device), torch.arange(w, device=images.device)
        if self.flip:
            columns = torch.where(draws.mirrored[:, None], columns.flip(0), columns)
        rows, columns = rows + draws.top[:, None], columns + draws.left[:, None]
        rows = rows + torch.arange(b, device=images.device)[:, None] * padded.shape[1]
        indices = rows[:, :, None] * padded.shape[2] + columns[:, None, :]
        return padded.reshape(-1, c).index_select(0, indices.flatten()).view(b, h, w, c)

    def cut(self, x: Float[Tensor, "b h w c"], draws: Draws) -> Float[Tensor, "b h w c"]:
        """Sets a square to zero, in place; it is centred at a random pixel and clipped at the borders.

        Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout"
        (arXiv:1708.04552). Differs from the authors' code: an odd side is not rounded down.
        """
        if not self.cutout:
            return x
        b, h, w, c = x.shape
        offset = torch.arange(self.cutout, device=x.device) - self.cutout // 2
        # The centre is inside the image, so clamping moves the rest of the square onto its own pixels.
        rows = (draws.row[:, None] + offset).clamp(0, h - 1)
        rows = rows + torch.arange(b, device=x.device)[:, None] * h
        columns = (draws.column[:, None] + offset).clamp(0, w - 1)
        indices = rows[:, :, None] * w + columns[:, None, :]
        x.view(-1, c).index_fill_(0, indices.flatten(), 0)
        return x
