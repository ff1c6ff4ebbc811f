"""A search for one target, with its records; for several, and by NNI, it is handed on."""

from __future__ import annotations

import logging
from pathlib import Path

from autola.configs import SearchConfig
from autola.data_record import absolute, check_data, found_data, recorded_costs
from autola.runs import go_on, new_run, stored_config
from autola.runtime import in_first, make_fabric, own_state
from autola.search_steps import Found, announce, finish, last_figures, start_search
from outputs.run_directory import CHECKPOINTS, RunDirectory
from search_space.grammar import genotype_at

log = logging.getLogger(__name__)


def run_search(config: SearchConfig, out: Path | None = None) -> Found:
    """Searches, and keeps the records in a new run folder.

    Args:
        config: What to search, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    config.searcher.check_budget(config.resolved_space())
    if config.engine == "nni":
        from autola.trials import run_trials  # slow: NNI

        return run_trials(config, out)
    if len(config.target) > 1:
        from autola.front import run_front

        return run_front(config, out)
    with own_state(config):
        fabric = make_fabric(config)
        job, data = start_search(config, fabric)
        config = absolute(config)
        kind = f"search-{config.data.name}"
        with new_run(config, data, kind=kind, seed=config.seed, out=out, fabric=fabric) as run:
            announce(config, run, fabric)
            return finish(job, run, fabric)


def resume_search(run: RunDirectory, root: str | None = None) -> Found:
    """Goes on with a search that was stopped: on the CPU, to the genotype and weights it would have found.

    A search that is complete is left as it is.

    Args:
        run: What was stopped.
        root: The folder of its data, where that moved; it has to hold the same.

    Raises:
        InputError: If the run is no search, its records or data do not fit, or another process is writing
            to it.
    """
    config = stored_config(run, SearchConfig)
    if config.engine == "nni" and not run.complete():
        from autola.trials import resume_trials

        return resume_trials(config, run, root)
    if len(config.target) > 1:
        from autola.front import resume_front

        return resume_front(config, run, root)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=True)
        if not run.complete() or run.has(CHECKPOINTS):  # else nothing is written, nor may have to be
            in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            log.info("%s is complete", run.path)
            return Found(run=run.path, genotype=genotype_at(run.path), metrics=last_figures(run))
        config = found_data(config, run, root)
        job, data = start_search(config, fabric, recorded_costs(config, run))
        in_first(fabric, lambda: check_data(run, data, config if root else None))
        go_on(job, run, "search")
        announce(config, run, fabric)
        fabric.barrier()
        return finish(job, run, fabric)
