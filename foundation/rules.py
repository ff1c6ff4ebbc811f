"""What the numbers of a config may be: one rule for each meaning, in the same words everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

from foundation.errors import InputError

MOST_PIXELS = 2**16
"""Longest side of an image or crop in pixels: above it an image takes more than 12 GB."""

LARGEST_COUNT = 2**31 - 1
"""The most that a count may be: PyTorch keeps many sizes in 32 bits."""


def positive(config: object, *names: str, prefix: str = "", hint: str = "") -> None:
    """Checks settings that are rates, factors or counts: above 0, finite, and whole ones below 2^31.

    Args:
        config: What has the settings; one that is None is left out, of several values each is looked at.
        names: Names of the settings.
        prefix: Text that goes before their names in the message.
        hint: What ends the message.

    Raises:
        InputError: If one is not; names the first.
    """
    _check(config, names, lambda value: value > 0, f"{{}} is not positive{hint}", prefix)


def not_negative(config: object, *names: str, prefix: str = "", hint: str = "") -> None:
    """Checks settings that may be 0 as well; see `positive`."""
    _check(config, names, lambda value: not math.isnan(value), "{} is not a number", prefix)
    _check(config, names, lambda value: value >= 0, f"{{}} is negative{hint}", prefix)


def pixels(config: object, *names: str) -> None:
    """Checks settings that are sides in pixels, 0 among them: at most `MOST_PIXELS`; see `positive`."""
    not_negative(config, *names)
    _check(config, names, lambda value: value <= MOST_PIXELS, f"{{}} is more than {MOST_PIXELS} pixels", "")


def share(config: object, *names: str, prefix: str = "") -> None:
    """Checks settings that are shares or chances: in 0 ... 1; see `positive`."""
    _check(config, names, lambda value: 0 <= value <= 1, "{} is no share; give a number in 0 ... 1", prefix)


def below_one(config: object, *names: str, prefix: str = "") -> None:
    """Checks settings that are shares of which something has to be left; see `positive`."""
    _check(config, names, lambda value: 0 <= value < 1, "{} is not in 0 ... 1 (1 excluded)", prefix)


def seed(config: object, *names: str) -> None:
    """Checks seeds: in 0 ... 2**63 - 1, which every generator of random numbers takes.

    Raises:
        InputError: If one is not.
    """
    for name in names:
        for value in _values(getattr(config, name)):
            if not 0 <= value < 2**63:
                raise InputError(f"{name}={value} is no seed; give a whole number in 0 ... 2^63 - 1")


def not_above(config: object, low: str, high: str) -> None:
    """Checks that one setting is at most another.

    Raises:
        InputError: If it is not.
    """
    below, above = getattr(config, low), getattr(config, high)
    if below > above:
        raise InputError(f"{low}={below} is above {high}={above}")


def one_each(config: object, first: str, second: str) -> None:
    """Checks that two lists have as many values, which belong together.

    Raises:
        InputError: If they have not.
    """
    numbers = [len(getattr(config, name)) for name in (first, second)]
    if numbers[0] != numbers[1]:
        raise InputError(f"{numbers[0]} {first} and {numbers[1]} {second}; there is one of each")


def _check(
    config: object, names: tuple[str, ...], fits: Callable[[float], bool], message: str, prefix: str
) -> None:
    for name in names:
        given = getattr(config, name)
        shown = f"{prefix}{name}={given}"
        for value in _values(given):
            if not fits(value):
                raise InputError(message.format(shown))
            if math.isinf(value):
                raise InputError(f"{shown} is not finite")
            if isinstance(value, int) and value > LARGEST_COUNT:
                raise InputError(f"{shown} is too large; give at most {LARGEST_COUNT}")


def _values(given: Any) -> Iterator[float]:
    if isinstance(given, tuple):
        for one in cast(tuple[Any, ...], given):
            yield from _values(one)
    elif given is not None:
        assert isinstance(given, int | float)
        yield given
