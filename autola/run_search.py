"""A search in three steps: plan what is to be done, run it, conclude from the records."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from autola.configs import AnySearch, SearchConfig, TaskSearch
from autola.data_record import absolute, check_data, found_data, recorded_costs
from autola.executors import Executor
from autola.found import Found, found_in
from autola.plans import Plan, has_trials, plan_of
from autola.runs import new_run, stored_search
from autola.runtime import in_first, make_fabric, own_state
from autola.working import check_devices, modules_for, ready
from autola.working.items import LIST
from foundation.errors import InputError
from outputs.records import CHECKPOINTS, METRICS
from outputs.run_directory import RunDirectory
from outputs.trackers import check_trackers

log = logging.getLogger(__name__)


def run_search(
    config: SearchConfig | TaskSearch, out: Path | None = None, *, on: Executor | None = None
) -> Found:
    """Searches, and keeps the records in a new run folder.

    Args:
        config: What to search, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.
        on: What starts workers, for a search for each of several targets or the trials of a black-box
            searcher; None to search here. What is found does not depend on it.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    if not config.of_places:  # else the space comes with the network
        config.searcher.check_budget(config.resolved_space())
    planned = plan_of(config, workers=on is not None)
    planned.check(config)
    _check_workers(config, planned, on)
    check_trackers(config.tracker)
    with own_state(config, on=on):
        fabric = make_fabric(config)
        plan = planned(config, fabric)
        plan.on = on
        config, kind = absolute(config), f"{plan.kind}-{config.subject}"
        made: Any = {"kind": kind, "seed": config.seed, "out": out, "fabric": fabric}
        with ready(on, fabric), new_run(config, plan.data, **made) as run:
            return plan.run(config, run)


def resume_search(run: RunDirectory, root: str | None = None, *, on: Executor | None = None) -> Found:
    """Goes on with a search that was stopped: on the CPU, to the genotype and weights it would have found.

    A search that is complete is left as it is.

    Args:
        run: What was stopped.
        root: The folder of its data, where that moved; it has to hold the same.
        on: See `run_search`.

    Raises:
        InputError: If the run is no search, its records or data do not fit, or another process is writing
            to it.
    """
    config = stored_search(run)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=True)
        if not run.complete() or run.has(CHECKPOINTS):  # else nothing is written, nor may have to be
            in_first(fabric, run.lock)
        if run.complete():
            in_first(fabric, run.drop_checkpoints)
            log.info("%s is complete", run.path)
            return found_in(run)
        listed = run.has(LIST)
        planned = plan_of(config, workers=listed or on is not None)
        if on is not None and not listed and run.has(METRICS) and has_trials(config):
            raise InputError(f"{run.path} was begun by one process, which alone can go on; leave out --on")
        planned.check(config)
        _check_workers(config, planned, on)
        check_trackers(config.tracker)
        moved: Any = found_data(cast("SearchConfig", config), run, root)  # of the same kind
        config = moved
        plan = planned(config, fabric, recorded_costs(config, run))
        plan.on = on
        in_first(fabric, lambda: check_data(run, plan.data, config if root else None))
        return plan.run(config, run)


def _check_workers(config: AnySearch, planned: type[Plan], on: Executor | None) -> None:
    """Refuses workers where there is nothing for them, or each search is to use several devices."""
    if on is None:
        return
    if not planned.many:
        raise InputError(
            "this is one search, which one process does; --on is for several --target, for black-box "
            "searchers that train each candidate (--searcher random), retrain and compare"
        )
    check_devices(on, config)
    modules_for(on, config)
