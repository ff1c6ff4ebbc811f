"""Lines as a formatter would have them."""

from __future__ import annotations

import re
from collections.abc import Sequence

WIDTH = 110
"""Longest line."""


def line_start(data: bytes, line: int) -> int:
    """Where a line starts, counted from 1."""
    at = 0
    for _ in range(line - 1):
        at = data.index(b"\n", at) + 1
    return at


def edited(data: bytes, start: int, end: int, edits: Sequence[tuple[int, int, str]]) -> str:
    """A part of a text with some of its own parts (start, end) replaced."""
    parts, at = list[str](), start
    for first, last, text in sorted(edits):
        parts += [data[at:first].decode(), text]
        at = last
    return "".join([*parts, data[at:end].decode()])


def on_one_line(text: str, indent: int) -> str:
    """A statement that became shorter, on one line where a formatter would put it there."""
    if "\n" not in text or "#" in text or '"""' in text or re.search(r",\s*\n\s*[)\]}]", text):
        return text
    line = re.sub(r"([(\[{])\s*\n\s*", r"\1", text)
    line = re.sub(r"\s*\n\s*([)\]}])", r"\1", line)
    line = re.sub(r"\s*\n\s*", " ", line)
    return line if indent + len(line) <= WIDTH else text


def signature(
    name: str, arguments: Sequence[str], returns: str, comment: str, indent: int, exploded: bool
) -> str:
    """The head of a function.

    Args:
        name: What it is called.
        arguments: Each with its type and default.
        returns: The arrow and type of its result; empty for none.
        comment: What stands behind it if there is room.
        indent: Blanks before it.
        exploded: Whether every argument has a line, as where a comma is behind the last.
    """
    blanks, listed = " " * indent, ", ".join(arguments)
    line = f"def {name}({listed}){returns}:"
    if indent + len(line) <= WIDTH and not exploded:
        commented = f"{line}  # {comment}"
        return commented if comment and indent + len(commented) <= WIDTH else line
    if indent + 4 + len(listed) <= WIDTH and not exploded:
        return f"def {name}(\n{blanks}    {listed}\n{blanks}){returns}:"
    listed = "".join(f"{blanks}    {argument},\n" for argument in arguments)
    return f"def {name}(\n{listed}{blanks}){returns}:"
