"""Advice from its settings to its end: a search, then a comparison with what costs as much."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from autola.advice_config import AdviceConfig
from autola.advising.conclude import ADVICE, Advice, concluded
from autola.advising.planning import (
    BUDGET,
    AdvicePlan,
    Amounts,
    check_time,
    limits_of,
    planned,
    recipe_of,
    search_of,
    space_of,
)
from autola.advising.rows import NOTHING, rows_of
from autola.comparing.config import Addition, CompareConfig
from autola.comparing.items import full_config
from autola.comparing.rows import PLAIN
from autola.comparing.running import resume_comparison, run_comparison
from autola.comparing.settings import MOST_NAMED, differences
from autola.data_record import absolute, check_data
from autola.estimating import Way
from autola.executors import Executor
from autola.member import member_names
from autola.run_search import resume_search, run_search
from autola.runs import new_run, stored_config
from autola.runtime import make_fabric, own_state
from autola.working import check_devices
from evaluators.place_costs import PlaceTable
from foundation.config import parse_json, to_json
from foundation.errors import InputError, listed
from outputs.comparison import Comparison
from outputs.run_directory import RunDirectory
from search_space.placement import Placement
from search_space.places import Places
from search_space.term import Term

log = logging.getLogger(__name__)

PLAN, SEARCH, COMPARED = "plan.json", "search", "compare"
"""Records in the folder of advice: how the time is shared out; runs of the search and the comparison."""


def run_advice(
    given: AdviceConfig,
    out: Path | None = None,
    *,
    minutes: float,
    on: Executor | None = None,
    amounts: Amounts | None = None,
) -> Advice:
    """Advises, or goes on where that was stopped; with more minutes it adds seeds.

    Args:
        given: Network, data, recipe, candidates.
        out: Folder of its records, of this advice if it is there; None for a new one under ./outputs/runs.
        minutes: Time for all.
        on: What starts workers, each of which trains one at a time; None to train here.
        amounts: How much is done in all, if not what there is time for; no training begins after the minutes.

    Raises:
        InputError: If the settings or data are wrong, nothing keeps the target, the time is too short, `out`
            holds something else, or another process is advising there.
    """
    if not 0 < minutes < float("inf"):
        raise InputError(f"minutes={minutes} is not positive")
    check_devices(on, given)
    given = absolute(given)
    began, jobs = time.monotonic(), 1 if on is None else on.most

    def plan_of(space: Places, tables: Mapping[str, PlaceTable]) -> AdvicePlan:
        return planned(given, space, tables, Way(out=out, jobs=jobs, budget=BUDGET), minutes, amounts)

    run, plan, space = _opened(given, out, plan_of)
    with run:
        before = _seconds_of(run.path)

        def left() -> float:
            return max(minutes - (before + time.monotonic() - began) / 60, 1e-3)

        def passed(what: str) -> None:
            log.info("%.1f of %g minutes: %s", minutes - left(), minutes, what)

        num_seeds = check_time(plan, minutes, jobs) if amounts is None else amounts.seeds
        found = _searched(given, plan, run.path / SEARCH)
        passed(f"found {found}")
        shares = RunDirectory(run.path / SEARCH).site_shares() or {}
        limits = limits_of(given, space, plan.tables)
        rows = rows_of(space, found, shares, plan.tables, limits, given.seed)
        names = [name for name in rows if name != NOTHING]
        if not names:
            compared, known = None, {}
        else:
            terms = tuple((Term(name="places", placement=rows[name]),) for name in names)
            known = dict(zip(names, member_names(terms), strict=True))
            told = ", ".join(f"{row} as {known[row]}" if row in known else row for row in rows)
            log.info("%d rows are trained with %d seeds each: %s", len(rows), num_seeds, told)
            seeds = tuple(range(given.seed, given.seed + num_seeds))
            config = _comparison(recipe_of(given, plan), terms, known[names[0]], seeds)
            compared = _compared(config, run.path / COMPARED, on, left())
        seconds = before + time.monotonic() - began
        advice = concluded(rows, plan.tables, compared, known, run=str(run.path), seconds=seconds)
        passed("done" if advice.complete else "stopped; the same again goes on")
        run.write_text(ADVICE, f"{advice}\n")
    return advice


def _opened(
    given: AdviceConfig, out: Path | None, plan_of: Callable[[Places, Mapping[str, PlaceTable]], AdvicePlan]
) -> tuple[RunDirectory, AdvicePlan, Places]:
    """The folder, locked, the plan, and what is searched; nothing is written where something is wrong."""
    if out is None or not out.exists():
        with own_state(given):
            fabric = make_fabric(given)
            space, tables, data = space_of(given, fabric)
            limits_of(given, space, tables)
        plan = plan_of(space, tables)
        with own_state(given):
            kind = f"advise-{given.task.subject()}"
            run = new_run(given, data, kind=kind, seed=given.seed, out=out, fabric=make_fabric(given))
        run.write_text(PLAN, to_json(plan))
        return run, plan, space
    run = RunDirectory.open(out)
    stored = stored_config(run, AdviceConfig)
    changed = list(differences(stored, given))
    if changed:
        raise InputError(
            f"{out} holds advice on something else: {listed(changed, MOST_NAMED, '; ')}; name another folder"
        )
    run.lock()
    try:
        with own_state(given, resumed=run):
            space, tables, data = space_of(given, make_fabric(given, resumed=True))
        check_data(run, data)
        if run.has(PLAN):
            plan = parse_json(AdvicePlan, run.text(PLAN), str(run.path / PLAN))
        else:  # it was stopped before that was written
            plan = plan_of(space, tables)
            run.write_text(PLAN, to_json(plan))
    except BaseException:
        run.unlock()
        raise
    return run, plan, space


def _searched(given: AdviceConfig, plan: AdvicePlan, path: Path) -> Placement:
    """What the search found, from where it stands."""
    config = search_of(given, plan)
    found = resume_search(RunDirectory.open(path)) if path.exists() else run_search(config, path)
    assert isinstance(found.genotype, Placement)
    return found.genotype


def _comparison(
    given: AdviceConfig, terms: tuple[tuple[Term, ...], ...], first: str, seeds: tuple[int, ...]
) -> CompareConfig:
    return CompareConfig(
        task=given.task,
        train=given.train,
        attentions=terms,
        beside=(PLAIN,),
        control_seeds=seeds,
        primary=(PLAIN, first),
        measure=False,
        **given.devices_of(),
    )


def _compared(config: CompareConfig, path: Path, on: Executor | None, minutes: float) -> Comparison:
    """The comparison, from where it stands, with the seeds that are not there yet."""
    if not path.exists():
        return run_comparison(config, path, on=on, minutes=minutes)
    run = RunDirectory.open(path)
    there = full_config(run).control_seeds
    more = tuple(seed for seed in config.control_seeds if seed not in there)
    addition = Addition(control_seeds=more) if more else None
    return resume_comparison(run, on=on, minutes=minutes, addition=addition)


def _seconds_of(path: Path) -> float:
    """What the search and the trainings of a folder took so far."""
    return sum(RunDirectory(each.parent).metrics.seconds() for each in path.rglob("metrics.jsonl"))
