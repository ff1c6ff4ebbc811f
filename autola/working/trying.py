"""Does one trial of a black-box search: the short training of a candidate, and its score."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import AnySearch
from autola.data_record import COSTS, check_data
from autola.drive import drive
from autola.problem import search_problem
from autola.runs import fitting, go_on, stored_search, tracked
from autola.runtime import in_first
from autola.working.items import Item
from evaluators.job import NotFiniteError
from foundation.config import to_json
from outputs.records import DATA, RESULT, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.weights import save_weights
from searchers.blackbox import BlackBox
from searchers.searches.problem import Problem
from searchers.searches.trained import training_of

log = logging.getLogger(__name__)

SCORE, FIGURES, SECONDS = "score", "figures", "seconds"
"""Keys of a trial's result: null where its training diverged; of the last epoch; of all epochs."""

NO_FIGURES = ("epoch", "step", "epoch_seconds")
"""Keys of the record of an epoch that belong to the trial, not to the search."""


class Problems:
    """Problems of searches: the last one is kept, for the trials of a search share it.

    Args:
        fabric: Device and processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self._last: tuple[str, tuple[Problem, dict[str, Any]]] | None = None

    def of(self, config: AnySearch, run: RunDirectory) -> tuple[Problem, dict[str, Any]]:
        """See `search_problem`; costs of operators are those that the run has recorded."""
        key = to_json(config)
        if self._last is None or self._last[0] != key:
            self._last = key, search_problem(config, self.fabric, run.keys(DATA).get(COSTS, {}))
        return self._last[1]


def try_candidate(
    folder: Path, item: Item, problems: Problems, report: Callable[[dict[str, Any]], None]
) -> None:
    """Does one trial from where its records end; only what is not done yet.

    Args:
        folder: Its run folder.
        item: Its number, and the candidate.
        problems: What is searched, on what.
        report: Called with the record of each epoch.

    Raises:
        InputError: If the images are not those that it began with, or what `drive` says.
    """
    config, fabric = stored_search(RunDirectory.open(folder)), problems.fabric
    searcher, number = config.searcher, item.trial
    assert isinstance(searcher, BlackBox)
    assert number is not None
    with RunDirectory.open(folder) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return
        with fitting():
            problem, data = problems.of(config, run)
            in_first(fabric, lambda: check_data(run, data))
            candidate, recipe = problem.space.read(item.candidate), searcher.recipe()
            batches = problem.batches(0, recipe.batch_size)
            job = training_of(problem, recipe, batches, candidate, number)
            go_on(job, run, folder.name)
        with tracked(run, config.tracker, fabric) as tracking:
            score, figures = None, dict[str, float]()
            try:
                drive(job, run, fabric, tracking, title=folder.name, after_epoch=report)
            except NotFiniteError as error:  # as in a search in one process: no score, and the search goes on
                log.warning("trial %d failed: %s; %s", number + 1, str(error).partition(" (")[0], candidate)
            else:
                judging = problem.batches(1, recipe.batch_size, training=False)
                score = problem.judge(job.trained(), judging) - problem.price(candidate)
                last = run.metrics.records()[-1]
                figures = {key: value for key, value in last.items() if key not in NO_FIGURES}

        def conclude() -> None:
            if number == searcher.trials - 1:
                save_weights(run.path / WEIGHTS, job.task.model.state_dict())
            result = {SCORE: score, FIGURES: figures, SECONDS: run.metrics.seconds()}
            run.write_json(RESULT, result)
            run.drop_checkpoints()

        in_first(fabric, conclude)
