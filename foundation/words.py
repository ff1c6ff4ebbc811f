"""Numbers and paths in sentences."""

from __future__ import annotations

import shlex
from pathlib import Path


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things: 1 item, 2 items.

    Args:
        number: How many.
        one: What one is called.
        many: What several are called; with an s behind it if left out.
    """
    return f"{number:,} {one if number == 1 else f'{one}s' if many is None else many}"


def one(thing: str) -> str:
    """A thing with its article: a tar, an image."""
    return f"{'an' if thing[:1].lower() in 'aeiou' else 'a'} {thing}"


def points(share: float) -> str:
    """A difference of shares in points: 0.01 is 1 point."""
    number = round(100 * share, 6)
    return f"{number:g} point{'' if number == 1 else 's'}"


def typed(path: str | Path) -> str:
    """A path as a command that is suggested has it: in quotes where a shell would read it otherwise."""
    return shlex.quote(str(path))
