"""A share of a list, at even steps."""

from __future__ import annotations

from foundation.errors import InputError


def split_evenly(count: int, share: float, what: str) -> tuple[list[int], list[int]]:
    """Numbers 0 to `count` - 1 in two parts: most, and about a `share` of them, spread over the whole.

    Raises:
        InputError: If one of the parts would be empty.
    """
    held = round(count * share)
    if not 0 < held < count:
        raise InputError(
            f"{share:g} of {count} {what} is {held} held out; give another validation_fraction, or 0 for none"
        )
    chosen = {(2 * number + 1) * count // (2 * held) for number in range(held)}
    return [number for number in range(count) if number not in chosen], sorted(chosen)


def even_halves(count: int, what: str) -> tuple[list[int], list[int]]:
    """Every second of the numbers 0 to `count` - 1, and the others.

    Args:
        count: How many there are.
        what: The word for what is halved, in plural.

    Raises:
        InputError: If there are fewer than two.
    """
    if count < 2:
        raise InputError(f"searching needs at least two of the training {what}, one for each half")
    return list(range(0, count, 2)), list(range(1, count, 2))
