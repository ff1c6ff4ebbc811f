"""Which keypoints are exchanged in a mirror, by their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from foundation.errors import InputError

log = logging.getLogger(__name__)

_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}

# A side that stands as a word of its own: left_eye, eye-left, eyeLeft, LEye, l.eye; not the r of ear.
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def mirror_partners(names: Sequence[str]) -> list[int]:
    """The index of the keypoint that each one becomes in the mirror: left and right, or l and r, exchanged.

    The side may stand before or after the rest, as a word of its own or joined to it.

    Raises:
        InputError: If names are not unique, or a left one has no right one, or the other way round.
    """
    indices = {name: index for index, name in enumerate(names)}
    if len(indices) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"keypoint {twice!r} is there twice; names have to be unique")
    partners = list[int]()
    for index, name in enumerate(names):
        sides = list(_mirrored(name))
        found = [indices[other] for other, _ in sides if other in indices]
        if not found and (wanted := [other for other, sure in sides if sure]):
            raise InputError(f"keypoint {name!r} has no {wanted[0]!r} beside it")
        partners.append(found[0] if found else index)
    for index, partner in enumerate(partners):
        if partners[partner] != index:
            raise InputError(
                f"keypoint {names[index]!r} could be the mirror image of {names[partner]!r} and of another; "
                "give each a name with left or right"
            )
    return partners


def _mirrored(name: str) -> Iterator[tuple[str, bool]]:
    """Names with one side exchanged, and whether that is surely what the word means."""
    for word in _WORDS.finditer(name):
        text = word.group()
        if text.lower() in _OTHER:
            yield name[: word.start()] + _alike(_OTHER[text.lower()], text) + name[word.end() :], True
    for side in ("left", "right"):  # lefteye, EYELEFT; but an upright has no upleft
        if name.lower().startswith(side):
            yield _alike(_OTHER[side], name[: len(side)]) + name[len(side) :], False
        if name.lower().endswith(side):
            yield name[: -len(side)] + _alike(_OTHER[side], name[-len(side) :]), False


def _alike(word: str, pattern: str) -> str:
    if pattern.isupper():
        return word.upper()
    return word.capitalize() if pattern[0].isupper() else word


def log_partners(names: Sequence[str], partners: Sequence[int]) -> None:
    """Logs what is exchanged when images are mirrored, unless names are as COCO writes them.

    Raises:
        InputError: If nothing is: then left and right would be learned as one.
    """
    pairs = [
        f"{names[index]} with {names[partner]}" for index, partner in enumerate(partners) if index < partner
    ]
    if not pairs:
        raise InputError(
            f"no keypoint has left or right in its name ({', '.join(names[:3])} ...), so mirror images "
            "cannot be labelled; name them, or set flip and flip_test to false"
        )
    alone = [names[index] for index, partner in enumerate(partners) if index == partner]
    usual = all(name.startswith(("left_", "right_")) for name in names if name not in alone)
    level = logging.DEBUG if usual else logging.INFO
    log.log(level, "exchanged in mirror images: %s; stay: %s", ", ".join(pairs), ", ".join(alone) or "none")
