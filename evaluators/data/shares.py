"""Which samples of which batch a process takes."""

from __future__ import annotations

from foundation.errors import InputError


class Shares:
    """The batches of an epoch, cut from an order of the samples and shared by processes.

    Args:
        num_samples: Samples in all.
        batch_size: Samples in a batch of all processes together.
        drop_last: Whether to leave out the samples at the end that do not fill a batch (training).
        rank: Number of this process.
        world_size: Number of processes. With `drop_last` all get equal shares of a batch, otherwise each
            sample goes to exactly one process and a share may be smaller than others, or empty.

    Raises:
        InputError: If batches cannot be filled or shared.
    """

    def __init__(
        self, num_samples: int, batch_size: int, *, drop_last: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        assert 0 <= rank < world_size, (rank, world_size)
        if batch_size < 1:
            raise InputError(f"a batch of {batch_size} images; give at least 1")
        if not num_samples:
            raise InputError("there are no images to take batches from")
        if drop_last and num_samples < batch_size:
            raise InputError(
                f"{num_samples} images do not fill a batch of {batch_size}; "
                f"give a batch size of at most {num_samples}, or more images"
            )
        if drop_last and batch_size % world_size:
            raise InputError(
                f"a batch of {batch_size} images does not split evenly over {world_size} processes; "
                f"give a multiple of {world_size}"
            )
        self.num_samples, self.batch_size, self.drop_last = num_samples, batch_size, drop_last
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        """Batches an epoch, the same for every process."""
        whole, left = divmod(self.num_samples, self.batch_size)
        return whole if self.drop_last else whole + (left > 0)

    def batch(self, index: int) -> range:
        """Places of a whole batch in the order of the epoch."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index * self.batch_size
        return range(first, min(first + self.batch_size, self.num_samples))

    def within(self, size: int) -> slice:
        """This process's share of a batch of a size."""
        return slice(*(size * rank // self.world_size for rank in (self.rank, self.rank + 1)))
