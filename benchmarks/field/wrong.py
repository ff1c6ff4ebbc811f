"""What a cell of the table ends with where a command did not do what it should."""

from __future__ import annotations


class WrongError(Exception):
    """What a command did is not what it should have done."""


def expect(holds: bool, otherwise: str) -> None:
    """Checks what a command did.

    Raises:
        WrongError: If it does not hold.
    """
    if not holds:
        raise WrongError(otherwise)
