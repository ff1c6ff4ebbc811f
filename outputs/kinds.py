"""Operators by kind: the idea that they share, and its colour in drawings."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an operator does to its input, as a legend says it."""

    name: str
    color: str


_KNOWN = {
    "skip": Kind(name="identity", color="#6B7280"),
    "squeeze_excite": Kind(name="channel gate", color="#2563A8"),
    "spatial": Kind(name="spatial gate", color="#2B8A57"),
    "separable": Kind(name="full gate", color="#C2571A"),
    "cbam": Kind(name="channel, then spatial gate", color="#86469C"),
}
_COLORS = ("#0F8B8D", "#B8860B", "#C2407A", "#7A5230", "#5B6C00")


def kind_of(operator: str) -> Kind:
    """The kind of an operator: operators of one file are of one kind.

    An operator from elsewhere gets the name of its file and a colour that only depends on it; one
    that nobody registered is "other".
    """
    from search_space.operator import OPERATORS

    idea = OPERATORS[operator].module.__module__.rpartition(".")[2] if operator in OPERATORS else "other"
    color = _COLORS[zlib.crc32(idea.encode()) % len(_COLORS)]
    return _KNOWN.get(idea, Kind(name=idea.replace("_", " "), color=color))
