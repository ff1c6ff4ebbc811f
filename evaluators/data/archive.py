"""A tar, compressed or not, with a folder of images a class; read as a stream, never unpacked to disk."""

from __future__ import annotations

import io
import itertools
import lzma
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluators.data.index import UNREADABLE, Index, index_of, is_hidden, is_image, is_unreadable_image
from evaluators.data.listing import digest
from evaluators.data.tally import Tally
from foundation.errors import InputError
from foundation.reading import check_regular

ENDINGS = (".tar", ".tar.gz", ".tgz")
"""How the name of a tar ends."""

_ENDS = 1 << 16

MOST_LOOKED_AT = 4_000
"""Members that are looked at where not all have to be known."""

MOST_UNPACKED = 1 << 28
"""Bytes of a compressed tar that are unpacked for that."""


class _EnoughError(Exception):
    """A tar has more members than are looked at."""


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
        return digest([f"{self.path.name}\0{facts.st_mtime_ns}", *self._ends()])

    def digests(self) -> dict[str, str]:
        return {"size and ends of the tar": digest(self._ends())}

    def _ends(self) -> list[str | bytes]:
        """Size, first and last bytes: of an archive they say much, and they are read at once."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            first = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            return [str(size), first, file.read(_ENDS)]

    def index(self, *, whole: bool = True) -> Index:
        return self._index(whole=whole, most=None)[0]

    def look(self, most: int = MOST_LOOKED_AT) -> tuple[int, bool]:
        """Classes that the first members have images of, and whether these are all members.

        Args:
            most: Members to look at; of a compressed tar fewer, where these are large.

        Raises:
            InputError: If their images are in no folders of classes, or the tar is broken.
        """
        index, cut = self._index(whole=True, most=most)
        return len(index.classes), not cut

    def _index(self, *, whole: bool, most: int | None) -> tuple[Index, bool]:
        """The images of the first members, or of all, and whether there are more."""
        names, folders, tally = list[str](), list[str](), Tally(str(self.path), "images")
        cut = False
        try:
            for name, _, is_folder in self._entries(content=False, tally=tally, most=most):
                (folders if is_folder else names).append(name)
        except _EnoughError:
            cut = True
        for name, count in Counter(names).items():
            if count > 1:  # written again by `tar --update`; the last one counts, as for who unpacks it
                tally.pass_over("an older image of the same name", name)
        split = [name.split("/") for name in names]
        depth = 0
        while len({parts[depth] for parts in split}) == 1 and max(map(len, split)) > depth + 2:
            depth += 1
            split = [parts for parts in split if len(parts) > depth + 1]
        deep = [name.split("/") for name in folders]
        classes = {parts[depth] for parts in deep if len(parts) == depth + 1}
        found = index_of(self.path, names, classes, tally, depth=depth, whole=whole and not cut)
        return found, cut

    def files(self) -> Iterator[tuple[str, bytes]]:
        return ((name, data) for name, data, is_folder in self._entries(content=True) if not is_folder)

    def _entries(
        self, *, content: bool, tally: Tally | None = None, most: int | None = None
    ) -> Iterator[tuple[str, bytes, bool]]:
        """Name, content if asked for, and whether it is a folder: of image files and folders.

        Args:
            content: Whether it is asked for.
            tally: Takes what is passed over.
            most: Members to look at, at most; all if left out.

        Raises:
            _EnoughError: If there are more members.
            InputError: If the tar is cut short or damaged, or an image in it is a link.
        """
        try:
            with tarfile.open(self.path) as archive:
                for member in _members(archive, most):
                    parts = [part for part in member.name.split("/") if part not in ("", ".")]
                    name = "/".join(parts)
                    if not parts:
                        continue
                    if any(map(is_hidden, parts)):
                        _pass_over(tally, "left behind by a system", name)
                    elif member.isdir():
                        yield name, b"", True
                    elif is_image(name):
                        if not member.isreg():
                            raise InputError(
                                f"{name} in {self.path} is a link; pack the images themselves "
                                "(tar --dereference --hard-dereference)"
                            )
                        file = archive.extractfile(member) if content else None
                        yield name, file.read() if file else b"", False
                    elif is_unreadable_image(name):
                        if tally is not None:
                            tally.leave_out(UNREADABLE, name)
                    else:
                        _pass_over(tally, "no image by its ending", name)
                self._check_end(archive)
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{self.path} is broken or cut short ({error}); copy it again") from None

    def _check_end(self, archive: tarfile.TarFile) -> None:
        # A tar that was cut between two members, or overwritten there, looks like one that ends.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end of archive")


def _members(archive: tarfile.TarFile, most: int | None) -> Iterator[tarfile.TarInfo]:
    """The members one by one.

    Raises:
        _EnoughError: If there are more than are to be looked at.
    """
    is_packed = not isinstance(archive.fileobj, io.BufferedReader)
    for number in itertools.count():
        if (member := archive.next()) is None:
            return
        if most is not None and (number >= most or (is_packed and archive.offset > MOST_UNPACKED)):
            raise _EnoughError
        # tarfile would keep every one of a million of them.
        archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
        yield member


def _pass_over(tally: Tally | None, reason: str, name: str) -> None:
    if tally is not None:
        tally.pass_over(reason, name)


def is_archive(path: Path) -> bool:
    """Whether the name is that of a tar."""
    return path.name.lower().endswith(ENDINGS) and not os.path.isdir(path)
