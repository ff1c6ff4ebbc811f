"""Batches of samples that are read from the disk when their turn comes, or ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch.utils.data import DataLoader, Dataset

from evaluators.data.shares import Shares
from foundation.cores import usable_cores
from foundation.errors import InputError
from foundation.seeds import seed_of

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Place = tuple[int, int]
"""Epoch and number of a batch."""


class Samples(Protocol):
    """What a stream reads: samples by number, each made from its seed alone."""

    def __len__(self) -> int: ...

    def sample(self, index: int, seed: int) -> Any:
        """Reads one sample; everything random in it comes from the seed.

        Raises:
            InputError: If it cannot be read.
        """
        ...


class Stream:
    """The batches of any epoch, each a function of its number alone, as in `Batches`.

    The order of an epoch depends on (seed, epoch), the augmentation of a sample on (seed, epoch, sample):
    neither on the number of processes or workers, nor on what was read before. Workers read ahead while
    batches are asked for one after the other.

    Args:
        samples: What to read; has to be picklable where there are workers.
        batch_size: Samples in a batch of all processes together.
        collate: Makes a batch of a list of samples.
        seed: Decides order and augmentation.
        shuffle: Whether each epoch has its own order.
        drop_last: Whether to leave out the samples at the end that do not fill a batch (training).
        rank: Number of this process.
        world_size: Number of processes; see `Shares`.
        num_workers: Processes that read, no more than there are cores; 0 for this one.

    Raises:
        InputError: If batches cannot be filled or shared.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        *,
        collate: Callable[[list[Any]], Any],
        seed: int,
        shuffle: bool,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        self._shares = Shares(len(samples), batch_size, drop_last=drop_last, rank=rank, world_size=world_size)
        self._samples, self._collate = samples, collate
        self._seed, self._shuffle = seed, shuffle
        self._num_workers = min(num_workers, usable_cores())
        self._reading: tuple[Place, Iterator[Any]] | None = None

    @classmethod
    def of(
        cls,
        samples: Samples,
        batch_size: int,
        fabric: Fabric,
        *,
        collate: Callable[[list[Any]], Any],
        seed: int,
        training: bool,
        num_workers: int,
    ) -> Self:
        """A process's share: whole batches in each epoch's own order for training, else all in order."""
        return cls(
            samples,
            batch_size,
            collate=collate,
            seed=seed,
            shuffle=training,
            drop_last=training,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            num_workers=num_workers,
        )

    def __len__(self) -> int:
        """Batches an epoch, the same for every process."""
        return len(self._shares)

    def batch(self, epoch: int, index: int) -> Any:
        """This process's share of a batch, collated.

        Raises:
            InputError: If a sample cannot be read.
        """
        if not self._num_workers:
            return self._collate([_read(self._samples, *item) for item in self._share(epoch, index)])
        if self._reading is None or self._reading[0] != (epoch, index):
            self._reading = ((epoch, index), iter(self._loader(epoch, index, endless=True)))
        reader = self._reading[1]
        batch = next(reader)
        following = (epoch, index + 1) if index + 1 < len(self) else (epoch + 1, 0)
        self._reading = (following, reader)
        return _checked(batch)

    def __iter__(self) -> Iterator[Any]:
        """This process's shares of epoch 0 in order, those that are not empty."""
        if self._num_workers:
            yield from map(_checked, self._loader(0, 0, endless=False))
            return
        for index in range(len(self)):
            if items := self._share(0, index):
                yield self._collate([_read(self._samples, *item) for item in items])

    def _loader(self, epoch: int, index: int, *, endless: bool) -> DataLoader[Any]:
        return DataLoader(
            _Reader(self._samples),
            batch_sampler=_Shares(self, epoch, index, endless),  # pyright: ignore[reportArgumentType]
            collate_fn=_Collate(self._collate),
            num_workers=self._num_workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # torch's own would move on, and with it what the step draws
        )

    def _share(self, epoch: int, index: int) -> list[tuple[int, int]]:
        """Numbers and seeds of this process's samples of a batch."""
        indices = self._shares.batch(index)
        mine = indices[self._shares.within(len(indices))]
        chosen = self._order(epoch)[mine.start : mine.stop]
        return [(number, seed_of(self._seed, "sample", epoch, number)) for number in chosen]

    def _order(self, epoch: int) -> Sequence[int]:
        if not self._shuffle:
            return range(len(self._samples))
        generator = torch.Generator().manual_seed(seed_of(self._seed, "order", epoch))
        return torch.randperm(len(self._samples), generator=generator).tolist()


class _Shares:
    """The shares of all batches from one batch on."""

    def __init__(self, stream: Stream, epoch: int, index: int, endless: bool) -> None:
        self.stream, self.epoch, self.index, self.endless = stream, epoch, index, endless

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, index = self.epoch, self.index
        while self.endless or epoch == self.epoch:
            for number in range(index, len(self.stream)):
                if share := self.stream._share(epoch, number):
                    yield share
            epoch, index = epoch + 1, 0


class _Reader(Dataset[Any]):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, item: tuple[int, int]) -> Any:
        try:
            return _read(self.samples, *item)
        except InputError as error:  # the loader would wrap it in a traceback
            return error


class _Collate:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[Any]) -> Any:
        return next((each for each in samples if isinstance(each, InputError)), None) or self.collate(samples)


def _read(samples: Samples, index: int, seed: int) -> Any:
    return samples.sample(index, seed)


def _checked(batch: Any) -> Any:
    if isinstance(batch, InputError):
        raise batch
    return batch
