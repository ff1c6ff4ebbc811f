"""What a search trained at its end to choose among: a part of its result."""

from __future__ import annotations

import math

from foundation.config import config, parse
from outputs.records import RESULT
from outputs.run_directory import RunDirectory

FINALS = "finals"
"""In a search's result.json: its finalists in the order in which they were trained."""


@config
class Final:
    """A finalist."""

    genotype: str
    """The cell or placement, as text."""
    score: float | None
    """What the search ranks by, its score less the price of the cost; None where the training failed."""

    @property
    def shown(self) -> str:
        """The score as text."""
        return "failed" if self.score is None else f"{self.score:.4f}"


def finals_of(run: RunDirectory) -> list[Final]:
    """The finalists of a search, best first, those that failed last; none of one that had none or goes on.

    Raises:
        InputError: If they are damaged.
    """
    trained = run.keys(RESULT).get(FINALS, ()) if run.has(RESULT) else ()
    finals = parse(tuple[Final, ...], trained, f"{run.path / RESULT}: {FINALS}")
    return sorted(finals, key=lambda final: -math.inf if final.score is None else final.score, reverse=True)
