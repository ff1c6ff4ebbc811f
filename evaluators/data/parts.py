"""The parts of a data set by the names that people give them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, cast

from foundation.errors import InputError, listed

log = logging.getLogger(__name__)

Part = Literal["train", "val", "test"]

PARTS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Each part and the names it goes by, in any case."""

_WORDS = {name for names in PARTS.values() for name in names} | {
    *("trainset", "trainval", "valset", "devset", "testset", "eval", "evaluation", "holdout"),
}


def part_of(name: str) -> Part | None:
    """The part that a folder or tar is called after, given without its ending."""
    return next((part for part, names in PARTS.items() if name.casefold() in names), None)


def sounds_like_a_part(name: str) -> bool:
    """Whether a word of a folder's name means a part, as in train2017 or images-eval."""
    return any(word in _WORDS for word in re.findall(r"[a-z]+", name.casefold()))


def find_parts(root: Path, endings: Iterable[str] = ()) -> dict[Part, Path]:
    """The parts that lie in a folder: as folders, else as files with one of some endings.

    Raises:
        InputError: If a part is there under two names, or two parts are one folder by a link.
    """
    folders, files = dict[Part, list[Path]](), dict[Part, list[Path]]()
    for path in sorted(root.iterdir()):
        name, kind = path.name, folders
        if not path.is_dir():
            ending = max((end for end in endings if name.lower().endswith(end)), key=len, default="")
            name, kind = name.removesuffix(name[len(name) - len(ending) :]) if ending else "", files
        if (part := part_of(name)) is not None:
            kind.setdefault(part, []).append(path)
    for part, paths in folders.items():
        if len(paths) > 1:
            raise InputError(
                f"{root} has {' and '.join(path.name for path in paths)}, which both mean {part}; "
                "keep one of them there"
            )
    chosen = {part: paths[0] for part, paths in (files | folders).items()}
    resolved = dict[Path, Path]()
    for path in chosen.values():
        if (other := resolved.setdefault(path.resolve(), path)) is not path:
            raise InputError(
                f"{path} and {other} are one folder by a link: what is trained on would be tested on"
            )
    return {part: chosen[part] for part in cast("tuple[Part, ...]", tuple(PARTS)) if part in chosen}


def log_unused(root: Path, parts: Iterable[Path], ignored: Callable[[str], bool]) -> None:
    """Logs in a line what lies beside the parts and is not read; a warning where it may be a part.

    Args:
        root: The folder that holds them.
        parts: Those that are read.
        ignored: Whether nobody means a file or folder of this name to be read.
    """
    used = {path.name for path in parts}
    rest = sorted(path.name for path in root.iterdir() if path.name not in used and not ignored(path.name))
    if rest:
        level = logging.WARNING if any(map(sounds_like_a_part, rest)) else logging.INFO
        log.log(level, "%s: beside the parts lie, and are not read: %s", root, listed(rest))
