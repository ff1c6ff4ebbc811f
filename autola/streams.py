"""Standard streams that hold whatever a command has to say."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper

from foundation.errors import InputError, shown

PLAIN = {"\u00b1": "+-", "\u00d7": "x", "\u2026": "...", "\u2192": "->"}
"""What stands for a character where the terminal's encoding has none."""

LINES = range(0x2500, 0x2580)
"""The characters that boxes and cells are drawn with."""

ACROSS, UPRIGHT = (
    "\u2500\u2501\u2504\u2508\u254c\u2550\u2574\u2576",
    "\u2502\u2503\u2506\u250a\u2551\u2575\u2577",
)


def prepare() -> None:
    """Makes the standard streams take every text: what they cannot encode is written in ASCII.

    Raises:
        InputError: If the standard output is closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for the whole process)
    if sys.stdout is None:
        raise InputError("the standard output is closed; send it to a file, or to /dev/null")
    codecs.register_error("autola", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="autola")


def check_text(arguments: list[str]) -> None:
    """Checks that every argument can be written into a record.

    Raises:
        InputError: If one is no text in this locale's encoding, as the name of a folder may be.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{shown(argument)} is no text in the encoding {sys.getfilesystemencoding()}; rename it"
            ) from None


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """What to write for characters that cannot be encoded: bytes of file names as they are."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes((ord(character) - 0xDC00,)), error.start + 1
    return _in_ascii(character), error.start + 1


def _in_ascii(character: str) -> str:
    if ord(character) in LINES:
        return "-" if character in ACROSS else "|" if character in UPRIGHT else "+"
    return PLAIN.get(character, "?")
