"""A tar, compressed or not, with a folder of images a class; read as a stream, never unpacked to disk."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluators.data.index import Index, index_of, is_hidden, is_image
from search_space.errors import InputError
from search_space.reading import check_regular

ENDINGS = (".tar", ".tar.gz", ".tgz")
"""How the name of a tar ends."""

_ENDS = 1 << 16


@dataclass(frozen=True)
class Archive:
    """A source of images; folders that wrap the class folders are looked through.

    Args:
        path: The tar.
    """

    path: Path

    def fingerprint(self) -> str:
        # Archives are often given one fixed time, so their ends count as well: they hold names, sizes and,
        # when compressed, a checksum.
        check_regular(self.path, "tar")
        facts = self.path.stat()
        digest = hashlib.blake2b(
            f"{self.path.name}\0{facts.st_size}\0{facts.st_mtime_ns}".encode(), digest_size=16
        )
        with self.path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, facts.st_size - _ENDS))
            digest.update(file.read(_ENDS))
        return digest.hexdigest()

    def index(self) -> Index:
        names, folders = [], []
        for name, _, is_folder in self._entries(content=False):
            (folders if is_folder else names).append(name)
        split = [name.split("/") for name in names]
        depth = 0
        while len({parts[depth] for parts in split}) == 1 and min(map(len, split)) > depth + 2:
            depth += 1
        deep = [name.split("/") for name in folders]
        return index_of(self.path, names, {parts[depth] for parts in deep if len(parts) == depth + 1}, depth)

    def files(self) -> Iterator[tuple[str, bytes]]:
        return ((name, data) for name, data, is_folder in self._entries(content=True) if not is_folder)

    def _entries(self, *, content: bool) -> Iterator[tuple[str, bytes, bool]]:
        """Name, content if asked for, and whether it is a folder: of image files and folders.

        Raises:
            InputError: If the tar is cut short or damaged, or an image in it is a link.
        """
        try:
            with tarfile.open(self.path) as archive:
                while (member := archive.next()) is not None:
                    # tarfile would keep every one of a million of them.
                    archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
                    parts = [part for part in member.name.split("/") if part not in ("", ".")]
                    name = "/".join(parts)
                    if not parts or any(map(is_hidden, parts)):
                        continue
                    if member.isdir():
                        yield name, b"", True
                    elif is_image(name):
                        if not member.isreg():
                            raise InputError(
                                f"{name} in {self.path} is a link; pack the images themselves "
                                "(tar --dereference --hard-dereference)"
                            )
                        file = archive.extractfile(member) if content else None
                        yield name, file.read() if file else b"", False
                self._check_end(archive)
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{self.path} is broken or cut short ({error}); copy it again") from None

    def _check_end(self, archive: tarfile.TarFile) -> None:
        # A tar that was cut between two members, or overwritten there, looks like one that ends.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end of archive")


def is_archive(path: Path) -> bool:
    """Whether the name is that of a tar."""
    return path.name.lower().endswith(ENDINGS) and not os.path.isdir(path)
