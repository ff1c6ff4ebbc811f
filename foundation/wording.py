"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str, several: str | None = None) -> str:
    """A count with its noun: `1 cell`, `2 cells`.

    Args:
        number: How many.
        noun: One of them.
        several: Two of them; None where that is the noun with an s.
    """
    return f"{number} {noun if number == 1 else several or noun + 's'}"
