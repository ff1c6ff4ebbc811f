"""The registry of readers, and the one way to read a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from evaluators.data.augment import Augment
from evaluators.data.config import DataConfig
from evaluators.data.image_set import Splits
from evaluators.data.listing import Listing
from evaluators.data.stratify import subset
from foundation.errors import InputError
from foundation.registry import Registry

Reader: TypeAlias = Callable[[DataConfig], Splits]

READERS: Registry[Reader] = Registry("reader", "evaluators.data")
"""Name to reader. A reader checks what is its own (root, download, image_size); `read` does the rest."""


def read(config: DataConfig) -> Splits:
    """Reads a data set.

    Raises:
        InputError: If there is no such reader, the data is missing or damaged, or the config does not fit it.
    """
    splits = READERS[config.name](config)
    _check(config, splits)
    if not splits.listings:
        listings = {
            name: Listing.of_classes(part.classes, part.labels.tolist())
            for name, part in splits.parts().items()
        }
        splits = replace(splits, listings=listings)
    if config.limit is None:
        return splits
    parts = {name: subset(part, config.limit) for name, part in splits.parts().items()}
    return replace(splits, **parts)


def root_of(config: DataConfig) -> Path:
    """The folder or file that the user named.

    Raises:
        InputError: If none was given or nothing is there.
    """
    if config.root is None:
        raise InputError(f"reader {config.name!r} needs root: the folder or tar that holds the images")
    root = Path(config.root).expanduser()
    if not root.exists():
        raise InputError(f"no data at {root}; give the folder or tar that holds the images as root")
    return root


def refuse(config: DataConfig, *names: str) -> None:
    """Refuses settings that a reader has no use for.

    Raises:
        InputError: If one of `names` is set.
    """
    for name in names:
        if getattr(config, name) not in (None, False):
            raise InputError(f"reader {config.name!r} has no use for {name}; leave it out")


def _check(config: DataConfig, splits: Splits) -> None:
    for name, part in splits.parts().items():
        if part.images.shape[1:] != splits.train.images.shape[1:]:
            ours, theirs = ("x".join(map(str, images.size)) for images in (splits.train, part))
            raise InputError(f"training images are {ours}, {name} images {theirs}; give image_size")
    for name in ("mean", "std"):
        values = getattr(config, name)
        if values is not None and len(values) != splits.in_channels:
            raise InputError(
                f"{name} has {len(values)} values, the images of {config.name!r} "
                f"{splits.in_channels} channel(s); give one value a channel"
            )
    Augment.of(config).check(*splits.image_size)
