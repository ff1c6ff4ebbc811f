"""How the time of advice is shared out: settled before the search, from what a few steps take."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightning.fabric import Fabric

from autola.advice_config import AdviceConfig
from autola.advising.rows import everywhere
from autola.comparing.rows import stretched
from autola.configs import RetrainConfig, TaskSearch
from autola.estimating import Estimate, Way, estimate_retraining, estimate_search
from autola.presets import search_in
from autola.problem import search_problem
from evaluators.candidate_costs import table_of
from evaluators.cost_table import Metric
from evaluators.place_costs import PlaceTable
from evaluators.tasks import reads_text
from foundation.config import config
from foundation.errors import InputError
from search_space.places import Places
from search_space.space import NONE
from search_space.term import Term
from searchers.finals import Finals
from searchers.limits import Limits, parse_target

log = logging.getLogger(__name__)

METRICS: tuple[Metric, ...] = ("params", "macs", "latency")
SEARCH_SHARE = 0.3
"""Share of the time that the search gets; the rest goes to trainings."""
FINALISTS, NEIGHBOURS = 4, 4
"""Candidates that the search trains at its end, and neighbours of the best; they get half of its time."""
MOST_ROWS = 8
"""Rows that are planned for: plain, found, its strongest site, three everywhere, two random."""
LEAST_SEEDS, MOST_SEEDS = 3, 10
"""Trainings of a row: fewer show nothing, more are rarely worth it."""
MOST_EPOCHS = 50
"""Epochs of the search."""
BUDGET = 2.0
"""Seconds of steps that are timed of each kind."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much is done, where the time does not decide that.

    Attributes:
        search_epochs, final_epochs, train_epochs: See `AdvicePlan`.
        seeds: Trainings of every row.
    """

    search_epochs: int
    final_epochs: int
    train_epochs: int
    seeds: int


@config
class AdvicePlan:
    """How the time is shared out."""

    search_epochs: int
    """Epochs of the search."""
    final_epochs: int
    """Epochs of each training at the end of the search."""
    train_epochs: int
    """Epochs of each training of the comparison."""
    search_seconds: float
    """What the search is expected to take."""
    training_seconds: float
    """What a training is expected to take, at most."""
    tables: dict[str, PlaceTable]
    """What candidates cost at the sites, by metric."""

    def seeds_in(self, seconds: float, jobs: int) -> int:
        """Seeds that there is time for."""
        each = MOST_ROWS * self.training_seconds / jobs
        return max(0, min(MOST_SEEDS, round((seconds - self.search_seconds) / each)))

    def minutes_of(self, num_seeds: int, jobs: int) -> float:
        """Time of the search and of so many trainings of every row."""
        return (self.search_seconds + num_seeds * MOST_ROWS * self.training_seconds / jobs) / 60


def space_of(given: AdviceConfig, fabric: Fabric) -> tuple[Places, dict[str, PlaceTable], dict[str, Any]]:
    """Sites and candidates, what they cost, and what is known of the data.

    Raises:
        InputError: If the data cannot be read or halved, or the network has no sites.
    """
    problem, known = search_problem(replace(search_of(given), target=()), fabric)
    space = problem.space
    assert isinstance(space, Places)
    network, tables = problem.backbone(), dict[str, PlaceTable]()
    for metric in METRICS:
        table = table_of(metric, space, lambda: network, known["input_shape"], fabric.device)
        assert isinstance(table, PlaceTable)
        tables[metric] = table
    return space, tables, known


def limits_of(given: AdviceConfig, space: Places, tables: Mapping[str, PlaceTable]) -> Limits | None:
    """What all that is trained has to keep.

    Raises:
        InputError: If nothing keeps it.
    """
    if given.target is None:
        return None
    known: dict[Metric, PlaceTable] = {metric: tables[metric] for metric in METRICS}
    return Limits(space, parse_target(given.target), known)


def search_of(given: AdviceConfig, plan: AdvicePlan | None = None) -> TaskSearch:
    """The settings of the search, enough to repeat it alone; without its length where nothing is planned."""
    search = replace(
        search_in(given.task, given.train),
        primitives=given.primitives,
        sites=given.sites,
        target=() if given.target is None else (given.target,),
        seed=given.seed,
        **given.devices_of(),
    )
    if plan is None:
        return search
    finals = Finals()
    if plan.final_epochs:
        finals = Finals(count=FINALISTS, neighbours=NEIGHBOURS, epochs=plan.final_epochs)
    return replace(search, searcher=replace(search.searcher, epochs=plan.search_epochs, finals=finals))


def recipe_of(given: AdviceConfig, plan: AdvicePlan) -> AdviceConfig:
    """The advice with the epochs that are planned, all from the plain network at first."""
    share = plan.train_epochs / given.train.epochs
    shorter = replace(
        given.train,
        epochs=max(given.train.epochs, plan.train_epochs),
        warmup_epochs=given.train.warmup_epochs * share,
        average=min(given.train.average, plan.train_epochs),
    )
    train = stretched(shorter, plan.train_epochs)
    added = not reads_text(given.task)  # in a Transformer it stands in the place of another
    return replace(given, train=train, task=replace(given.task, identity=added))


def planned(
    given: AdviceConfig,
    space: Places,
    tables: Mapping[str, PlaceTable],
    way: Way,
    minutes: float,
    amounts: Amounts | None,
) -> AdvicePlan:
    """Times a few steps of the search and of the dearest training, and shares the minutes out.

    Args:
        given: What is advised on.
        space: Sites and candidates.
        tables: What candidates cost at the sites, by metric.
        way: How it is timed, and for how many jobs.
        minutes: Time for all.
        amounts: How much is done, where that is given: then nothing is timed.

    Raises:
        InputError: If the time is too short for trainings that show something.
    """
    if amounts is not None:
        epochs = {name: number for name, number in vars(amounts).items() if name != "seeds"}
        return AdvicePlan(search_seconds=0.0, training_seconds=1.0, tables=dict(tables), **epochs)
    seconds, alone = 60 * minutes, replace(way, jobs=1)
    one = AdvicePlan(
        search_epochs=1,
        final_epochs=0,
        train_epochs=1,
        search_seconds=0.0,
        training_seconds=0.0,
        tables=dict(tables),
    )
    search = _seconds(estimate_search(search_of(given, one), alone))
    names = [name for name in space.primitives if name != NONE]
    dearest = max(names, key=lambda name: tables["latency"].of(everywhere(space, name)))
    once = recipe_of(given, one)
    training = RetrainConfig(
        task=once.task,
        train=once.train,
        attentions=((Term(name="places", placement=everywhere(space, dearest)),),),
        seeds=(given.seed,),
        **given.devices_of(),
    )
    trained = _seconds(estimate_retraining(training, alone))
    search_epochs = _clamp(SEARCH_SHARE * seconds / 2 / search, MOST_EPOCHS)
    finals = (FINALISTS + NEIGHBOURS) * trained
    final_epochs = _clamp(SEARCH_SHARE * seconds / 2 / finals, given.train.epochs)
    each = (1 - SEARCH_SHARE) * seconds * way.jobs / (MOST_ROWS * LEAST_SEEDS)
    train_epochs = _clamp(each / trained, given.train.epochs)
    plan = replace(
        one,
        search_epochs=search_epochs,
        final_epochs=final_epochs,
        train_epochs=train_epochs,
        search_seconds=search_epochs * search + final_epochs * finals,
        training_seconds=train_epochs * trained,
    )
    check_time(plan, minutes, way.jobs)
    return plan


def check_time(plan: AdvicePlan, minutes: float, jobs: int) -> int:
    """Seeds of every training that there is time for.

    Raises:
        InputError: If they show nothing.
    """
    num_seeds = plan.seeds_in(60 * minutes, jobs)
    if num_seeds < LEAST_SEEDS:
        raise InputError(
            f"{minutes:g} minutes are {num_seeds} trainings of each row, which show nothing; give "
            f"{plan.minutes_of(LEAST_SEEDS, jobs):.3g} minutes or more"
        )
    log.info(
        "planned: %d epochs of search, then up to %d rows with %d seeds of %d epochs, about %.3g minutes",
        plan.search_epochs, MOST_ROWS, num_seeds, plan.train_epochs, plan.minutes_of(num_seeds, jobs),
    )  # fmt: skip
    return num_seeds


def _seconds(estimate: Estimate) -> float:
    return max(1e-3, sum(part.seconds * part.count for part in estimate.parts))


def _clamp(epochs: float, most: int) -> int:
    return max(1, min(most, int(epochs)))
