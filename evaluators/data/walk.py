"""The one walk through a folder of images: what is listed, counted and read is the same list."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from evaluators.data.index import UNREADABLE, is_hidden, is_image, is_unreadable_image
from evaluators.data.tally import Tally
from foundation.errors import InputError


@dataclass(frozen=True)
class Found:
    """An image in a folder.

    Attributes:
        name: Relative to the folder, with slashes.
        size: In bytes.
        changed: In ns.
    """

    name: str
    size: int
    changed: int


@dataclass(frozen=True)
class Walk:
    """What a folder holds.

    Attributes:
        files: Images, sorted by name.
        folders: Names of the folders directly in it.
        tally: What was passed over.
    """

    files: tuple[Found, ...]
    folders: tuple[str, ...]
    tally: Tally


def walk(root: Path) -> Walk:
    """Lists the images in a folder and below it.

    Links are followed, but every real folder is read once, under its own name where it has one in `root`:
    links that lead around in a circle, above it, or to what is there already, are passed over.

    Raises:
        InputError: If a folder or file cannot be read.
    """
    try:
        walking = _Walking(root, Tally(str(root), "images"))
        walking.read(root)
        while walking.links:
            walking.follow(*walking.links.popleft())
        files = tuple(sorted(walking.files, key=lambda found: found.name))
        walking.tally.used = len(files)
        return Walk(files, tuple(sorted(walking.folders)), walking.tally)
    except OSError as error:
        raise InputError(
            f"cannot read {error.filename} ({error.strerror}); repair, allow or remove it"
        ) from None


@dataclass
class _Walking:
    root: Path
    tally: Tally
    files: list[Found] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    links: deque[tuple[Path, Path]] = field(default_factory=deque)
    seen: set[Path] = field(default_factory=set)  # real folders that are read, and those above them

    def read(self, start: Path) -> None:
        """Reads a folder and all real folders below it; links to folders wait until those are done."""
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            real = Path(os.path.realpath(folder))
            self.seen |= {real, *real.parents}
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                path = Path(entry.path)
                if is_hidden(entry.name):
                    self.tally.pass_over("left behind by a system", self._relative(path))
                elif entry.is_dir():
                    if folder == self.root:
                        self.folders.add(entry.name)
                    if entry.is_symlink():
                        self.links.append((path, Path(os.path.realpath(path))))
                    else:
                        waiting.append(path)
                elif is_image(entry.name):
                    facts = path.stat()
                    if S_ISREG(facts.st_mode):
                        self.files.append(Found(self._relative(path), facts.st_size, facts.st_mtime_ns))
                    else:
                        self.tally.pass_over("not a file", self._relative(path))
                elif is_unreadable_image(entry.name):
                    self.tally.leave_out(UNREADABLE, self._relative(path))
                else:
                    self.tally.pass_over("no image by its ending", self._relative(path))

    def follow(self, link: Path, target: Path) -> None:
        if target in self.seen:
            self.folders.discard(self._relative(link))
            self.tally.pass_over("a link to a folder that is read already", self._relative(link))
        else:
            self.read(link)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
