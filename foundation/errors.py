"""The one error that speaks to the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MOST_NAMED = 20
"""Known names that an error lists at most."""

MOST_SHOWN = 80
"""Characters of a user's value that an error shows at most."""


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do.

    The command line prints it as it is, without a traceback, and ends with exit code 2.
    Our own broken invariants are `assert`s instead.
    """


class NoSpaceError(InputError):
    """A disk or quota is full."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An error for a name that nobody knows, with the closest known names, or else the known ones."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=3)
    close = close or [other for other in known if other.casefold() == name.casefold()]
    known_names = f"known: {listed(known, MOST_NAMED) or 'none'}"
    hint = f"did you mean {' or '.join(close)}?" if close else known_names
    return InputError(f"unknown {kind} {shown(name)}; {hint}")


def listed(names: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def shown(value: object) -> str:
    """A value as an error message shows it: on one line, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."
