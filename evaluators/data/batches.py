"""Batches made on the device from images that stay there as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from evaluators.data.augment import Augment, Draws
from evaluators.data.image_set import ImageSet
from search_space.errors import InputError


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
        dtype: Of the images that are returned; they are computed in at least float32.
        shuffle: Whether each epoch has its own order.
        drop_last: Whether to leave out the images at the end that do not fill a batch (training).
        rank: Number of this process.
        world_size: Number of processes. With `drop_last` all get equal shares of a batch, otherwise each
            image goes to exactly one process and a share may be smaller than others, or empty.

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
        assert 0 <= rank < world_size, (rank, world_size)
        _check(images, batch_size, mean, std, drop_last, world_size)
        self._augment = augment or Augment()
        self._augment.check(*images.size)
        self._size = images.size
        self._images: UInt8[Tensor, "n h w c"] = images.images.contiguous().to(device)
        self._labels: Int64[Tensor, "n"] = images.labels.to(device)
        self._batch_size, self._drop_last = batch_size, drop_last
        self._rank, self._world_size = rank, world_size
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
        whole, left = divmod(len(self._labels), self._batch_size)
        return whole if self._drop_last else whole + (left > 0)

    def batch(self, epoch: int, index: int) -> tuple[Float[Tensor, "b c h w"], Int64[Tensor, "b"]]:
        """This process's share of a batch: normalised images, channels_last in memory, and labels."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index * self._batch_size
        size = min(self._batch_size, len(self._labels) - first)
        start, stop = (size * rank // self._world_size for rank in (self._rank, self._rank + 1))
        if self._shuffle:
            chosen = self._epoch_order(epoch)[first + start : first + stop]
            pixels, labels = self._images.index_select(0, chosen), self._labels.index_select(0, chosen)
        else:
            chosen = slice(first + start, first + stop)
            pixels, labels = self._images[chosen], self._labels[chosen]
        draws = None
        if self._augment != Augment():
            generator = self._seeded(epoch, index)
            draws = self._augment.draw(size, *self._size, generator).share(start, stop)
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


def _check(
    images: ImageSet,
    batch_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    drop_last: bool,
    world_size: int,
) -> None:
    if batch_size < 1:
        raise InputError(f"a batch of {batch_size} images; give at least 1")
    if not len(images):
        raise InputError("there are no images to take batches from")
    if drop_last and len(images) < batch_size:
        raise InputError(
            f"{len(images)} images do not fill a batch of {batch_size}; "
            f"give a batch size of at most {len(images)}, or more images"
        )
    if drop_last and batch_size % world_size:
        raise InputError(
            f"a batch of {batch_size} images does not split evenly over {world_size} processes; "
            f"give a multiple of {world_size}"
        )
    channels = images.images.shape[3]
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise InputError(f"{name} has {len(values)} values, the images {channels} channel(s)")
    if min(std) <= 0:
        raise InputError(f"std is {tuple(std)}; each value must be positive")
