"""Images in files, read when their turn comes, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from evaluators.data.directory import Directory
from evaluators.data.index import log_lacking
from evaluators.data.listing import Listing
from evaluators.data.picture import opened
from evaluators.data.stream import Stream
from foundation.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class PictureList:
    """Files with their labels.

    Attributes:
        files: Paths of the images.
        labels: Indices into `classes`, (n,) of int64.
        classes: Names of all classes.
        listing: What was there, whatever is selected.
    """

    files: list[str]
    labels: Tensor
    classes: tuple[str, ...]
    listing: Listing = field(default_factory=lambda: Listing({}))

    def __len__(self) -> int:
        return len(self.files)

    def select(self, indices: Tensor) -> PictureList:
        """The images at `indices`, in that order."""
        files = [self.files[index] for index in indices.tolist()]
        return replace(self, files=files, labels=self.labels[indices])

    def spread(self, limit: int) -> PictureList:
        """A list of at most `limit` of the images, evenly from first to last."""
        count = min(limit, len(self))
        return self.select(torch.arange(count) * len(self) // count)


def list_pictures(folder: Path, classes: tuple[str, ...] | None = None) -> PictureList:
    """The images in a folder a class, classes sorted by name; only names are read.

    Args:
        folder: Holds the class folders.
        classes: Those of the training set, which others may lack but not add to.

    Raises:
        InputError: If there are none, or of a class that the training set lacks.
    """
    directory = Directory(folder)
    index = directory.index(whole=classes is None)
    index.tally.report()
    labels, names = torch.tensor(index.labels), index.classes
    if classes is not None:
        if extra := sorted(set(names) - set(classes)):
            raise InputError(
                f"{folder} has classes that the training set lacks: {', '.join(extra[:5])}"
                f"{' ...' if len(extra) > 5 else ''}; remove them, or add training images"
            )
        log_lacking(folder, names, classes)
        labels, names = torch.tensor([classes.index(name) for name in names])[labels], classes
    listing = Listing.of_classes(index.classes, index.labels, directory.digests())
    return PictureList([str(folder / name) for name in index.numbers], labels, names, listing)


class Pictures:
    """Reads images and transforms them; `Samples` of a stream.

    Args:
        pictures: The list of the images' files and labels.
        transform: A function from an RGB image to a tensor (3, h, w) of bytes; it may draw from torch's
            random state.
    """

    def __init__(self, pictures: PictureList, transform: Callable[[Image], Tensor]) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def sample(self, index: int, seed: int) -> tuple[Tensor, Tensor]:
        """An image and its label.

        Raises:
            InputError: If the file is missing, no image, or cut short.
        """
        picture = open_picture(self.pictures.files[index])
        random = torch.default_generator  # torch.random.fork_rng takes a tenth of the time of an image
        state = random.get_state()
        try:
            random.manual_seed(seed)
            return self.transform(picture), self.pictures.labels[index]
        finally:
            random.set_state(state)


def open_picture(path: str | Path) -> Image:
    """An image in RGB, decoded, upright; see `opened`.

    Raises:
        InputError: If there is none, or it is damaged or cut short.
    """
    try:
        return opened(path, upright=True)
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        reason = "no image that Pillow knows" if "cannot identify" in str(error) else error
        raise InputError(f"cannot read {path} ({reason}); replace or remove it") from None


class PictureBatches:
    """Batches of images on the device, normalised there.

    Args:
        stream: Batches of `Pictures`.
        device: Where batches go.
        mean: Mean of each channel, of pixels in 0 to 1.
        std: Standard deviation of each channel, of pixels in 0 to 1.
        dtype: Number type of the images.
    """

    def __init__(
        self,
        stream: Stream,
        device: torch.device,
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        self._stream, self._device, self._dtype = stream, device, dtype
        self._normalise = Normalise(mean, std, dtype).to(device)

    def __len__(self) -> int:
        return len(self._stream)

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """This process's share of a batch: images (b, 3, h, w), channels_last in memory, and labels (b,)."""
        return self._on_device(self._stream.batch(epoch, index))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches of epoch 0 in order."""
        return map(self._on_device, self._stream)

    def _on_device(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, labels = (part.to(self._device, non_blocking=True) for part in batch)
        return self._normalise(images), labels


class Normalise(torch.nn.Module):
    """Bytes (b, 3, h, w) to numbers of mean 0 and deviation 1.

    Args:
        mean: Mean of each channel, of pixels in 0 to 1.
        std: Standard deviation of each channel, of pixels in 0 to 1.
        dtype: Number type of the result.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            column = 255 * torch.tensor(values, dtype=dtype)[:, None, None]
            self.register_buffer(name, column, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = images.to(self.mean.dtype).sub_(self.mean).div_(self.std)
        return x.contiguous(memory_format=torch.channels_last)


def collate(samples: list[Any]) -> tuple[Tensor, Tensor]:
    """A batch of what `Pictures` gives."""
    images, labels = zip(*samples)
    return torch.stack(images), torch.stack(labels)
