"""The one error that speaks to the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do.

    The command line prints it as it is, without a traceback, and ends with exit code 2.
    Our own broken invariants are `assert`s instead.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An error for a name that nobody knows, with the closest known names, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known) or 'none'}"
    return InputError(f"unknown {kind} {name!r}; {hint}")
