"""What searches that have ended think of their cells, as far as they have an opinion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search_space.genotype import Genotype
from searchers import Search
from searchers.candidates import scores
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.finals import FinalSearch
from searchers.searches.problem import Problem
from searchers.searches.shared import SharedSearch, judge
from searchers.searches.trained import TrainedSearch
from searchers.searches.zero_cost import ZeroCostSearch

SCORE, JUDGED = "score", "judged"
"""In a search's result.json: what it thinks of the cell it found; and of random cells, by their text."""


ByHistory = SharedSearch | ZeroCostSearch
"""Searches that keep what they thought of candidates, and can judge others."""


def scored(job: Search, problem: Problem, judged: Sequence[Genotype] | None) -> dict[str, Any]:
    """How good the genotype of a search looks on the second half, and others where it can judge them.

    Args:
        job: The search, at its end.
        problem: What it was given.
        judged: Random cells that it judges besides; None where only the best of its history counts.
    """
    if isinstance(job, FinalSearch):
        known = scores(job.history)
        if judged is None and known:
            return {SCORE: max(known) + problem.price(job.genotype())}
        return scored(job.search, problem, judged)
    if isinstance(job, TrainedSearch) or (isinstance(job, ByHistory) and judged is None):
        known = scores(job.history)
        return {SCORE: max(known) + problem.price(job.genotype())} if known else {}
    if isinstance(job, ByHistory):
        ours = job.judge(job.genotype())
        return {SCORE: ours, JUDGED: {str(genotype): job.judge(genotype) for genotype in judged or ()}}
    if not isinstance(job, DifferentiableSearch):
        return {}
    size = job.config.batch_size
    train, judging = problem.batches(0, size), problem.batches(1, size, training=False)

    def score(genotype: Genotype) -> float:
        return judge(job.supernet, genotype, problem, train, judging)

    ours = {SCORE: score(job.genotype())}
    return ours if judged is None else {**ours, JUDGED: {str(each): score(each) for each in judged}}
