"""One search, in this process and those that share its batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from lightning.fabric import Fabric

from autola.configs import AnySearch
from autola.drive import drive
from autola.found import Found, found_in
from autola.plans import Plan
from autola.problem import search_problem
from autola.runs import fitting, go_on, tracked
from autola.runtime import device_line, in_first
from outputs.finals import FINALS
from outputs.records import RESULT, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.weights import save_weights
from searchers import Guarded, Search
from searchers.searches.finals import FinalSearch
from searchers.searches.sequence_problem import SequenceProblem
from searchers.searches.task_problem import TaskProblem
from supernet.sequence_places import left_out_at

log = logging.getLogger(__name__)


class SingleSearch(Plan):
    """A search for one target, or without."""

    kind = "search"

    def __init__(self, config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None) -> None:
        problem, self.data = search_problem(config, fabric, costs)
        self._job, self._fabric = config.searcher.start(problem), fabric
        if isinstance(problem, TaskProblem):
            log.info("halves of the training set: %s", problem.settings.sizes)
        if isinstance(problem, SequenceProblem) and (left_out := left_out_at(problem.places)):
            log.info("left out where they do not fit: %s", left_out)

    def run(self, config: AnySearch, run: RunDirectory) -> Found:
        carry_out(self._job, config, run, self._fabric)
        return found_in(run)


def carry_out(
    job: Search,
    config: AnySearch,
    run: RunDirectory,
    fabric: Fabric,
    *,
    name: str = "search",
    conclude: Callable[[], Mapping[str, Any]] = dict,
    report: Callable[[dict[str, Any]], None] = lambda record: None,
) -> None:
    """Takes a search from where its records end to its own end, and writes what it ends with.

    Args:
        job: The search, at step 0.
        config: What is searched, for the first lines of the log.
        run: Its folder.
        fabric: Device and processes.
        name: Name of the search in the log.
        conclude: Returns what else belongs to the result; called after the weights are written.
        report: Called with the record of each epoch.

    Raises:
        InputError: If the records are not of this search, or what `drive` says.
    """
    with fitting():
        go_on(job, run, name)
    log.info("%s  seed %d  %s", run.path, config.seed, device_line(fabric))
    log.info("%s on %s in %s", config.searcher.name, config.subject, config.network_name)
    fabric.barrier()

    def after_epoch(record: dict[str, Any]) -> Any:
        genotype, shares = job.genotype(), job.shares()
        run.write_genotype(genotype, shares)
        figures = "  ".join(f"{key} {value:.4g}" for key, value in record.items() if isinstance(value, float))
        log.info("epoch %d  %s", record["epoch"], figures)
        report(record)
        return shares

    with tracked(run, config.tracker, fabric) as tracking:
        drive(job, run, fabric, tracking, title="search", after_epoch=after_epoch)
        stopped = job.stopped if isinstance(job, Guarded) else None
        if stopped is not None:
            log.warning("the search %s", stopped)
        in_first(fabric, lambda: save_weights(run.path / WEIGHTS, job.weights()))
        genotype, more = job.genotype(), conclude()
        told = {} if stopped is None else {"stopped": stopped}
        if isinstance(job, FinalSearch):
            trained = [{"genotype": str(each.genotype), "score": each.score} for each in job.history]
            told |= {FINALS: trained}

        def complete() -> None:
            result = {"genotype": str(genotype), "seconds": run.metrics.seconds(), **told, **more}
            tracking.conclude(result)  # first: a run that is complete is not looked at again
            run.write_json(RESULT, result)
            run.drop_checkpoints()

        in_first(fabric, complete)
