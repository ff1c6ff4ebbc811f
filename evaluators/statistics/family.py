"""Several contrasts at once: which of them may be claimed, at 5 % false alarms over all of them together."""

from __future__ import annotations

from collections.abc import Sequence

ALARM = 0.05
"""Chance of a false alarm over all contrasts together."""


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Chances that hold for all together: a p-value below 5 % may be claimed, whichever others are.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979. What has no p-value is no test, and stays so.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted, reached = list[float | None]([None] * len(p_values)), 0.0
    for rank, (p, place) in enumerate(known):
        reached = max(reached, min(1.0, (len(known) - rank) * p))
        adjusted[place] = reached
    return adjusted


def gated(primary: float | None, others: Sequence[float | None]) -> list[float | None]:
    """The others by Holm, behind the primary contrast: none is claimed where that is not.

    So a false alarm in any of them has a chance of 5 % at most, and the primary contrast is tested as if it
    were alone.

    Args:
        primary: Of the primary contrast; None where it could not be tested: then nothing can be claimed.
        others: Of the others.
    """
    return [None if p is None or primary is None else max(p, primary) for p in holm(others)]
