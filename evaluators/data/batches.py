"""Batches made on the device from images that stay there as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from evaluators.data.augment import Augment, Draws
from evaluators.data.image_set import ImageSet
from evaluators.data.shares import Shares
from foundation.errors import InputError


class Batches:
    """The batches of any epoch, each computed from its number alone.

    The order of an epoch depends on (seed, stream, epoch) only, the augmentation of a batch on (seed, stream,
    epoch, index) only: whoever goes on after a stop sees what they would have seen. Both are drawn for the
    batches of all processes, of which each takes its share, so they do not depend on their number. Random
    numbers of a CPU and of a GPU differ.

    Args:
        images: What to take batches from.
        batch_size: Images in a batch of all processes together.
        device: Where images are kept and batches are made.
        mean: Subtracted from each channel, pixels in 0 to 1.
        std: Divides each channel after that.
        augment: Random changes; none for evaluation.
        seed: Decides order and augmentation, together with `stream`.
        stream: Name of this use of the images; others get other random numbers.
        dtype: Number type of the images that are returned; they are computed in at least float32.
        shuffle: Whether each epoch has its own order.
        drop_last: Whether to leave out the images at the end that do not fill a batch (training).
        rank: Number of this process.
        world_size: Number of processes; see `Shares`.

    Raises:
        InputError: If batches cannot be filled or shared, or `mean`, `std` or `augment` do not fit.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        *,
        device: torch.device | str,
        mean: Sequence[float],
        std: Sequence[float],
        augment: Augment | None = None,
        seed: int,
        stream: str = "train",
        dtype: torch.dtype = torch.float32,
        shuffle: bool,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._shares = Shares(len(images), batch_size, drop_last=drop_last, rank=rank, world_size=world_size)
        _check(images, mean, std)
        self._augment = augment or Augment()
        self._augment.check(*images.size)
        self._size = images.size
        self._images: UInt8[Tensor, "n h w c"] = images.images.contiguous().to(device)
        self._labels: Int64[Tensor, "n"] = images.labels.to(device)
        self._seed, self._stream, self._shuffle = seed, stream, shuffle
        self._dtype = dtype
        self._generator = torch.Generator(self._images.device)
        self._order: tuple[int, Int64[Tensor, "n"]] | None = None
        # A row of the image, channel after channel, so that the innermost loop is a long one.
        deviation = torch.tensor(std, dtype=torch.float64)
        width, wide = images.size[1], torch.promote_types(dtype, torch.float32)
        self._scale = (1 / (255 * deviation)).repeat(width).to(wide).to(device)
        self._shift = (-torch.tensor(mean, dtype=torch.float64) / deviation).repeat(width).to(wide).to(device)

    def __len__(self) -> int:
        """Batches an epoch, the same for every process."""
        return len(self._shares)

    def batch(self, epoch: int, index: int) -> tuple[Float[Tensor, "b c h w"], Int64[Tensor, "b"]]:
        """This process's share of a batch: normalised images, channels_last in memory, and labels."""
        indices = self._shares.batch(index)
        within = self._shares.within(len(indices))
        mine = indices[within]
        if self._shuffle:
            chosen = self._epoch_order(epoch)[mine.start : mine.stop]
            pixels, labels = self._images.index_select(0, chosen), self._labels.index_select(0, chosen)
        else:
            pixels, labels = self._images[mine.start : mine.stop], self._labels[mine.start : mine.stop]
        draws = None
        if self._augment != Augment():
            generator = self._seeded(epoch, index)
            draws = self._augment.draw(len(indices), *self._size, generator)
            draws = draws.share(within.start, within.stop)
            pixels = self._augment.move(pixels, draws)
        return self._normalized(pixels, draws), labels

    def __iter__(self) -> Iterator[tuple[Float[Tensor, "b c h w"], Int64[Tensor, "b"]]]:
        """All batches of epoch 0 in order."""
        return (self.batch(0, index) for index in range(len(self)))

    def _normalized(self, pixels: UInt8[Tensor, "b h w c"], draws: Draws | None) -> Float[Tensor, "b c h w"]:
        x = pixels.flatten(2).to(self._scale.dtype).mul_(self._scale).add_(self._shift).view(pixels.shape)
        if draws is not None:
            x = self._augment.cut(x, draws)
        return x.permute(0, 3, 1, 2).to(self._dtype)

    def _epoch_order(self, epoch: int) -> Int64[Tensor, "n"]:
        if self._order is None or self._order[0] != epoch:
            generator = self._seeded(epoch)
            order = torch.randperm(len(self._labels), generator=generator, device=generator.device)
            self._order = (epoch, order)
        return self._order[1]

    def _seeded(self, *numbers: int) -> torch.Generator:
        key = repr((self._seed, self._stream, *numbers)).encode()
        digest = hashlib.blake2b(key, digest_size=8).digest()
        return self._generator.manual_seed(int.from_bytes(digest, "little") >> 1)


def _check(images: ImageSet, mean: Sequence[float], std: Sequence[float]) -> None:
    channels = images.images.shape[3]
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise InputError(f"{name} has {len(values)} values, the images {channels} channel(s)")
    if min(std) <= 0:
        raise InputError(f"std is {tuple(std)}; each value must be positive")
