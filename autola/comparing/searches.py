"""The searches of a comparison: each in a run folder of its own, with its judgement of random cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.fabric import Fabric

from autola.configs import SearchConfig
from autola.data_record import COSTS, check_data
from autola.plans.single import carry_out
from autola.problem import search_problem
from autola.runtime import in_first
from foundation.config import to_json
from outputs.environment import environment
from outputs.records import DATA
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from searchers import Search
from searchers.candidates import scores
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.searches.shared import SharedSearch, judge
from searchers.searches.trained import TrainedSearch
from searchers.searches.zero_cost import ZeroCostSearch

SCORE, JUDGED = "score", "judged"
"""In a search's result.json: what it thinks of the cell it found; and of random cells, by their text."""


def make_search(
    name: str, config: SearchConfig, data: Mapping[str, Any], whole: RunDirectory, fabric: Fabric
) -> None:
    """Makes the run folder of a search, if it is not there."""
    if not (whole.path / name).exists():
        whole.create_member(name, to_json(config), environment(fabric.device, config.seed), data)


def carry_out_search(
    name: str, config: SearchConfig, whole: RunDirectory, fabric: Fabric, drawn: Sequence[Genotype]
) -> None:
    """Does one search of a comparison, from where its records end; only what is not done yet.

    Args:
        name: Its folder, which is there.
        config: Its settings.
        whole: The comparison.
        fabric: Device and processes.
        drawn: Random cells, which the search judges at its end besides its own.

    Raises:
        InputError: If the images are not those that it began with.
    """
    with RunDirectory.open(whole.path / name) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return
        problem, data = search_problem(config, fabric, run.keys(DATA).get(COSTS, {}))
        in_first(fabric, lambda: check_data(run, data))
        job = config.searcher.start(problem)
        carry_out(job, config, run, fabric, name=name, conclude=lambda: _judged(job, problem, drawn))


def _judged(job: Search, problem: Problem, drawn: Sequence[Genotype]) -> dict[str, Any]:
    """What a search that has ended thinks of its own cell, and of others where it can."""
    if isinstance(job, TrainedSearch):
        known = scores(job.history)
        return {SCORE: max(known)} if known else {}
    if isinstance(job, SharedSearch | ZeroCostSearch):
        ours = job.judge(job.genotype())
        return {SCORE: ours, JUDGED: {str(genotype): job.judge(genotype) for genotype in drawn}}
    if not isinstance(job, DifferentiableSearch):
        return {}
    size = job.config.batch_size
    train, judging = problem.batches(0, size), problem.batches(1, size, training=False)

    def score(genotype: Genotype) -> float:
        return judge(job.supernet, genotype, problem, train, judging)

    return {SCORE: score(job.genotype()), JUDGED: {str(genotype): score(genotype) for genotype in drawn}}
