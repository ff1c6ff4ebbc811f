"""Searchers that train nothing: candidates are drawn, scored as they are, and the best is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from searchers import SearcherConfig

if TYPE_CHECKING:
    from searchers.searches.problem import Problem


@config
class ZeroCost(SearcherConfig):
    """A searcher that ranks uniform draws by a score of untrained networks."""

    search: ClassVar[str] = "searchers.searches.zero_cost:start"
    score: ClassVar[str]
    """What a candidate is ranked by, "module:function" of `evaluators.zero_cost`."""

    trials: int = 100
    """Candidates to score; more find higher scores, which need not be better networks."""
    batch_size: int = 64
    """Images of the batch that candidates are scored on, over all processes; more are steadier and need more
    memory."""

    def __post_init__(self) -> None:
        rules.positive(self, "trials", "batch_size")

    def check(self, problem: Problem) -> None:
        from searchers.searches.sequence_problem import SequenceProblem

        if isinstance(problem, SequenceProblem):
            raise InputError(
                f"{self.name} scores untrained networks by images, and this one reads sentences; choose "
                "darts, gdas, random, evolution or another searcher that trains"
            )
