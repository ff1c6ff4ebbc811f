"""What a search trained at its end to choose among: a part of its result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from foundation.config import config, parse

FINALS = "finals"
"""In a search's result.json: its finalists in the order in which they were trained."""


@config
class Final:
    """A finalist."""

    genotype: str
    """The cell or placement, as text."""
    score: float | None
    """What the search ranks by, its score less the price of the cost; None where the training failed."""


def finals_of(result: Mapping[str, Any], source: str) -> list[Final]:
    """The finalists of a search, best first, those that failed last; none where it had no finals.

    Args:
        result: What result.json holds.
        source: Its path, for messages.

    Raises:
        InputError: If they are damaged.
    """
    finals = parse(tuple[Final, ...], result.get(FINALS, ()), f"{source}: {FINALS}")
    return sorted(finals, key=lambda final: -math.inf if final.score is None else final.score, reverse=True)
