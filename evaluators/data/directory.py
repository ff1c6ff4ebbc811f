"""A folder with a folder of images a class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evaluators.data.index import Index, index_of, is_hidden, is_image
from search_space.errors import InputError


@dataclass(frozen=True)
class Directory:
    """A source of images; deeper folders belong to the class above them, links are followed.

    Args:
        path: The folder that holds the class folders.
    """

    path: Path

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for name, size, changed in self._images:
            digest.update(f"{name}\0{size}\0{changed}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def index(self) -> Index:
        with os.scandir(self.path) as entries:
            folders = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
        return index_of(self.path, (name for name, _, _ in self._images), folders)

    def files(self) -> Iterator[tuple[str, Path]]:
        return ((name, self.path / name) for name, _, _ in self._images)

    @cached_property
    def _images(self) -> list[tuple[str, int, int]]:
        """Relative name, bytes and time of change in ns, sorted."""
        try:
            return sorted(self._walk())
        except OSError as error:
            raise InputError(
                f"cannot read {error.filename} ({error.strerror}); repair, allow or remove it"
            ) from None

    def _walk(self) -> Iterator[tuple[str, int, int]]:
        for folder, deeper, names in os.walk(self.path, onerror=_reraise, followlinks=True):
            deeper[:] = sorted(name for name in deeper if not is_hidden(name))
            for name in names:
                if is_image(name) and not is_hidden(name):
                    path = Path(folder, name)
                    facts = path.stat()
                    yield path.relative_to(self.path).as_posix(), facts.st_size, facts.st_mtime_ns


def _reraise(error: OSError) -> None:
    raise error
