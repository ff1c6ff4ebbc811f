"""A folder with a folder of images a class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evaluators.data.index import Index, composed, index_of
from evaluators.data.listing import digest
from evaluators.data.walk import Walk, walk


@dataclass(frozen=True)
class Directory:
    """A source of images; deeper folders belong to the class above them, links are followed.

    Args:
        path: The folder that holds the class folders.
    """

    path: Path

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for found in self._walk.files:
            facts = f"{found.name}\0{found.size}\0{found.changed}\n"
            digest.update(facts.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def digests(self) -> dict[str, str]:
        used = (found for found in self._walk.files if "/" in found.name)  # others are in no class
        return {"names and sizes of the files": digest(sorted(f"{composed(f.name)}\0{f.size}" for f in used))}

    def index(self, *, whole: bool = True) -> Index:
        listed = self._walk
        names = (found.name for found in listed.files)
        return index_of(self.path, names, listed.folders, deepcopy(listed.tally), whole=whole)

    def files(self) -> Iterator[tuple[str, Path]]:
        return ((found.name, self.path / found.name) for found in self._walk.files)

    @cached_property
    def _walk(self) -> Walk:
        return walk(self.path)
