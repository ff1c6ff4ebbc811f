"""Decoded images on disk, so that a set is decoded once."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from evaluators.data.image_set import ImageSet
from foundation.errors import NoSpaceError
from foundation.files import cache_folder, write_atomically

log = logging.getLogger(__name__)

FORMAT = 3
"""Part of every key: raise it when decoding or the file's layout changes."""


def cached(key: str, build: Callable[[], ImageSet]) -> ImageSet:
    """The images kept under `key`; built and kept if there are none, or the file is damaged.

    Of several processes one builds and the others wait for it. Without a folder to write to, images are built
    anew each time, with a warning.
    """
    path = cache_folder() / "images" / f"{key}.safetensors"
    found = _load(path)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        log.warning("decoded images are not kept: cannot write to %s (%s)", path.parent, error)
        return build()
    try:
        found = _load(path, warn=True)
        if found is not None:
            return found
        images = build()
        try:
            _store(path, images)
        except NoSpaceError:
            log.warning("decoded images are not kept: no space left on the disk for %s", path)
        except (OSError, SafetensorError) as error:
            log.warning("decoded images are not kept: cannot write %s (%s)", path, error)
        return images
    finally:
        lock.release()


def _load(path: Path, *, warn: bool = False) -> ImageSet | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            images = ImageSet(file.get_tensor("images"), file.get_tensor("labels"), tuple(facts["classes"]))
        if facts["checksum"] != _checksum(images):
            raise ValueError("the checksum differs")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if warn:
            log.warning("%s is damaged (%s); decoding the images again", path, error)
        return None
    return images


def _store(path: Path, images: ImageSet) -> None:
    facts = {"classes": images.classes, "checksum": _checksum(images)}
    tensors = {"images": images.images.contiguous(), "labels": images.labels}
    metadata = {"facts": json.dumps(facts)}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))


def _checksum(images: ImageSet) -> int:
    value = 0
    for part in (images.images, images.labels):
        value = zlib.crc32(part.contiguous().flatten().view(torch.uint8).numpy().data, value)
    return value
