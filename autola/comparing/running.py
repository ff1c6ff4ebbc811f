"""A comparison from its settings to its end: searches, controls, trainings, costs, what they say."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.comparing.adding import added
from autola.comparing.conclude import concluded, cost_key
from autola.comparing.config import Addition, CompareConfig
from autola.comparing.costs import cost_of, plain_of
from autola.comparing.items import (
    MATCHED,
    Item,
    additions_of,
    full_config,
    items_of,
    left_of,
    planned_rows,
    recorded_items,
    searches_of,
)
from autola.comparing.matching import matched_controls
from autola.comparing.plan import PLAN, announce, plan_of
from autola.comparing.work import Work
from autola.conclusions import read_conclusion
from autola.data_record import COSTS, absolute, check_data, found_data, recorded_costs
from autola.executors import Executor
from autola.member import first_step
from autola.problem import search_problem
from autola.runs import new_run, stored_config
from autola.runtime import device_line, make_fabric, own_state
from autola.working import check_devices, modules_for, ready
from autola.working.driver import do_work
from autola.working.making import make_list
from autola.working.progress import missing, missing_line
from foundation.config import to_json
from foundation.errors import InputError
from outputs.comparison import (
    COMPARISON,
    PICTURE,
    Comparison,
    draw_comparison,
    write_tables,
)
from outputs.records import DATA, RESULT
from outputs.run_directory import RunDirectory
from outputs.trackers import check_trackers

log = logging.getLogger(__name__)

NETWORKS = "costs.json"
"""Record: what the network of each cell costs."""


def run_comparison(
    config: CompareConfig,
    out: Path | None = None,
    *,
    on: Executor | None = None,
    minutes: float | None = None,
) -> Comparison:
    """Searches, trains and compares, and keeps all records in a new run folder.

    Args:
        config: What to compare, how often.
        out: The run folder; None for a new one under ./outputs/runs.
        on: What starts workers, each of which searches or trains one at a time; None to do all here, one
            after another. Changes no result.
        minutes: No search or training begins after so many; None for no limit.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    modules, until = _modules(config, on), _until(minutes)
    check_trackers(config.tracker)
    _check_names(config)
    with own_state(config, on=on):
        fabric = _fabric(config)
        work, costs = Work(config, fabric), _search_costs(config, fabric)
        data = {**work.describe(), COSTS: costs}
        planned = planned_rows(config, None, costs)
        items = items_of(config, planned)
        for item in {cost_key(item): item for item in items if item.config is not None}.values():
            single = item.config
            assert single is not None
            first_step(single, work.setting(single.train), single.attentions[0], item.seed, fabric)
        plan = plan_of(config, planned, len(items), len(searches_of(config)))
        config, kind = absolute(config), f"compare-{config.task.subject()}"
        made: Any = {
            "kind": kind,
            "seed": (*config.search_seeds, *config.control_seeds)[0],
            "out": out,
            "fabric": fabric,
        }
        with ready(on, fabric), new_run(config, data, **made) as run:
            run.write_text(PLAN, to_json(plan))
            log.info("%s  %s", run.path, device_line(fabric))
            announce(plan)
            return _finish(Work(config, fabric, work, modules), run, on, until)


def resume_comparison(
    run: RunDirectory,
    *,
    on: Executor | None = None,
    minutes: float | None = None,
    root: str | None = None,
    addition: Addition | None = None,
) -> Comparison:
    """Goes on with a comparison, and adds to it: nothing that has ended is done again.

    Args:
        run: Its folder.
        on: See `run_comparison`.
        minutes: Likewise.
        root: The folder of its data, where that moved; it has to hold the same.
        addition: Seeds, cells or modules more.

    Raises:
        InputError: If the run is no comparison, its records or data do not fit, what is added does not, or
            another process is writing to it.
    """
    began = stored_config(run, CompareConfig)
    config = full_config(run)
    modules, until = _modules(config, on), _until(minutes)
    with own_state(config, resumed=run), run:
        if addition is None and run.has(COMPARISON):
            known = read_conclusion(run, COMPARISON, Comparison)
            if known.done == known.planned == len(recorded_items(config, run)):
                log.info("%s is complete", run.path)
                return replace(known, run=str(run.path))
        run.lock()
        fabric = _fabric(config)
        check_trackers(config.tracker)
        config, moved = _moved(config, run, root), _moved(began, run, root)
        work = Work(config, fabric, modules=modules)
        check_data(run, work.describe(), moved if root else None)
        _check_plan(config, run)
        if addition is not None:
            work = added(addition, work, run)
        return _finish(work, run, on, until)


def _check_plan(config: CompareConfig, run: RunDirectory) -> None:
    """Writes the plan where a comparison was killed before it did, and warns where it vanished since."""
    if run.has(PLAN):
        return
    planned = planned_rows(config, run, run.keys(DATA).get(COSTS, {}))
    items, searches = items_of(config, planned), searches_of(config)
    if any(RunDirectory(run.path / name).complete() for name in (*searches, *(item.name for item in items))):
        log.warning("%s lacks %s: what was settled before its results came cannot be seen", run.path, PLAN)
    else:
        run.write_text(PLAN, to_json(plan_of(config, planned, len(items), len(searches))))


def _search_costs(config: CompareConfig, fabric: Fabric) -> dict[str, Any]:
    """What operators cost, by metric that is limited; refuses searches that would fail.

    Of searches made before, what they recorded: random cells have to keep the very same limit.
    """
    if config.search is None:
        return {}
    if config.found:
        run = RunDirectory.open(config.found[0].argument or "")
        return dict(recorded_costs(config.search, run) or {})
    config.search.searcher.check_budget(config.search.resolved_space())
    problem, known = search_problem(config.search_with((*config.search_seeds, 0)[0]), fabric)
    config.search.searcher.start(problem)
    return known.get(COSTS, {})


def _check_names(config: CompareConfig) -> None:
    """Refuses rows, backbones and recipes that are none before anything is read; limits come later."""
    search = None if config.search is None else replace(config.search, target=())
    plan_of(config, planned_rows(replace(config, search=search), None, {}), 0, 0)


def _moved(config: CompareConfig, run: RunDirectory, root: str | None) -> CompareConfig:
    """The comparison with the folder that its data are in now; searches read the same one, or their own."""
    there: Any = found_data(config, run, root)
    if root is None or config.search is None:
        return there
    before, now = config.task.data, there.task.data  # pyright: ignore[reportAttributeAccessIssue]
    search_root = getattr(config.search.data, "root", None)
    if search_root not in (None, before.root):
        raise InputError(
            f"{run.path} trains on the data at {before.root} and searches on those at {search_root}; "
            "a comparison of two folders cannot be moved"
        )
    if search_root is None:
        return there
    search = replace(config.search, data=replace(config.search.data, root=now.root))
    return replace(there, search=search)


def _finish(work: Work, run: RunDirectory, on: Executor | None, until: float) -> Comparison:
    config = work.config
    searches = searches_of(config)
    if not all(RunDirectory(run.path / name).complete() for name in searches) and time.monotonic() < until:
        work.make_searches(run)
        epochs = max(search.searcher.all_epochs for search in searches.values())
        more = len(left_of(recorded_items(config, run), run))
        _do(work, run, list(searches), epochs, on, until, more)
    if all(RunDirectory(run.path / name).complete() for name in searches):
        _match(work, run)
        items = recorded_items(config, run)
        if (left := left_of(items, run)) and time.monotonic() < until:
            work.make_trainings(left, run)
            _do(work, run, [item.name for item in items], config.train.epochs, on, until)
    return _conclude(work, run)


def _do(
    work: Work,
    run: RunDirectory,
    names: list[str],
    epochs: int,
    on: Executor | None,
    until: float,
    more: int = 0,
) -> None:
    """Does what is left, here or by workers, as long as there is time; `more` follows once it is done."""
    made: Any = {"command": "compare", "epochs": epochs, "modules": work.modules, "fabric": work.fabric}
    worklist = make_list(run.path, names, more=more, **made)
    worklist.forgive()
    do_work(worklist, on, work.settings, until=until)
    for name, why in missing(worklist):
        log.warning("%s", missing_line(worklist, name, why))


def _match(work: Work, run: RunDirectory) -> None:
    """Finds the plain networks of equal cost, once: measured anew they might be others."""
    if run.has(MATCHED):
        return
    planned = planned_rows(work.config, run, run.keys(DATA).get(COSTS, {}))
    found = {block.name: matched_controls(work.config, block, rows, work) for block, rows in planned}
    run.write_json(MATCHED, found)


def _conclude(work: Work, run: RunDirectory) -> Comparison:
    """Measures what costs are not known yet, and writes what the comparison says so far."""
    config, known = work.config, run.keys(DATA).get(COSTS, {})
    planned = planned_rows(config, run, known)
    items = items_of(config, planned)
    left = {item.name for item in left_of(items, run)}
    ended = [item for item in items if item.name not in left]
    scores = {item.name: _score(run.path / item.name) for item in ended}
    costs = _measured(work, run, planned, ended)
    comparison = concluded(
        config,
        plan_of(config, planned, len(items), len(searches_of(config))),
        planned,
        items,
        run,
        scores=scores,
        costs=costs,
        score=f"test {work.setting(config.train).score}",
        added_after=max((each.after for each in additions_of(run).additions), default=0),
    )
    write_tables(comparison, run.path)
    if comparison.rows:
        draw_comparison(comparison, run.path / PICTURE)
    run.write_text(COMPARISON, to_json(comparison))
    return comparison


def _measured(work: Work, run: RunDirectory, planned: Any, ended: Sequence[Item]) -> dict[str, Any]:
    """Costs of the networks of all that has ended; each is measured once, and kept as it comes."""
    costs: dict[str, Any] = run.keys(NETWORKS) if run.has(NETWORKS) else {}
    lacking = {cost_key(item): item for item in reversed(ended) if cost_key(item) not in costs}
    for block, rows in planned:
        plain, measure = None, work.config.measure
        for key, item in reversed(lacking.items()):
            if not any(item.row is row for row in rows):
                continue
            assert item.config is not None
            setting = work.setting(item.config.train)
            if plain is None and measure:
                plain = plain_of(block.task, setting, work.fabric)
                measure = plain is not None
            costs[key] = cost_of(item.config, setting, work.fabric, plain)
            run.write_json(NETWORKS, costs)
    return costs


def _score(path: Path) -> float:
    return float(RunDirectory(path).numbers(RESULT, "score")["score"])


def _until(minutes: float | None) -> float:
    if minutes is None:
        return math.inf
    if not minutes > 0:
        raise InputError(f"minutes={minutes} is not positive")
    return time.monotonic() + 60 * minutes


def _fabric(config: CompareConfig) -> Fabric:
    fabric = make_fabric(config, resumed=True)
    if fabric.world_size > 1:
        raise InputError("a comparison runs in one process; train side by side with --jobs or --on")
    return fabric


def _modules(config: CompareConfig, on: Executor | None) -> tuple[str, ...]:
    """Modules of the user's for workers; refuses workers that are impossible."""
    check_devices(on, config)
    given = replace(config.training(config.task, config.train, (), 0), attentions=config.attentions)
    searches = () if config.search is None else (config.search_with(0),)
    return modules_for(on, given, *searches)
