"""One answer for somebody in a hurry: which module, where, and does it pay for itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autola.advising.conclude import Advice, concluded
from autola.advising.records import AdvicePlan, AdviceRecords
from autola.advising.rows import costs_of, rows_of
from autola.advising.subject import Loss, Subject, subject_of
from evaluators.cost_table import Metric
from evaluators.place_costs import PlaceTable, place_table
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.attention import Attention
from search_space.placement import Placement
from search_space.places import CANDIDATES, Places
from searchers.limits import Limits, parse_target
from searchers.searches.own_loop import searching
from supernet.attach import attach
from supernet.placing import places_of

log = logging.getLogger(__name__)

__all__ = ["Advice", "Subject", "advise", "advise_on"]

METRICS: tuple[Metric, ...] = ("params", "macs", "latency")
SEARCH_SHARE = 0.3
"""Share of the time that the search gets; the rest goes to trainings."""
MOST_ROWS = 8
"""Rows that are planned for: nothing, found, its strongest site, three everywhere, two random."""
LEAST_SEEDS, MOST_SEEDS = 3, 10
"""Trainings of a row: fewer show nothing, more are rarely worth it."""
LEAST_STEPS, MOST_STEPS = 20, 2000
"""Steps of the search, and of each training."""
TIMED = 3
"""Steps that are timed of each kind, after one that is not."""


def advise(
    model: nn.Module,
    train: Any,
    valid: Iterable[Any],
    loss: Loss,
    *,
    target: str | None = None,
    minutes: float = 10.0,
    space: Sequence[Attention] = CANDIDATES,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    score: Callable[[nn.Module], float] | None = None,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    input_shape: Sequence[int] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> Advice:
    """Searches which attention pays for itself at which site, trains it beside controls, and says what holds.

    Trained from the weights that the model has, with several seeds each: what was found, its strongest site
    alone, random placements of the same cost, one module everywhere, and the plain model. Time is planned
    beforehand. The same call with the same `out` goes on where it was stopped; with more minutes it adds
    seeds.

    Args:
        model: A network whose blocks are found, or any with `sites`; it stays as it is.
        train: A DataLoader over a data set with a length, read in this process, or a list of batches. The
            search learns on two halves of it.
        valid: Batches that are not trained on: trained networks are judged on them.
        loss: From the model and a batch to the loss, one number.
        target: The most that the network may cost, as "latency<=1.1x,params<=1.05x".
        minutes: Time for all.
        space: What may stand at each site, "none" among them.
        sites: Names of modules that attention may follow; see `searching`.
        score: How good a trained model is; higher is better. Minus the mean loss of `valid`, in evaluation
            mode, if left out.
        optimizer: Makes the optimizer of a training from a model; AdamW with a rate of 0.001 if left out. Its
            rate falls along half a cosine.
        input_shape: (channels, height, width) of an image; as in the first batch if left out.
        out: Folder that keeps what is done; None for no records.
        seed: Seed of the search, the random placements and the trainings.

    Raises:
        InputError: If the model has no sites, the data cannot be halved, nothing keeps the target, the time
            is too short, or `out` holds advice on something else.
    """
    subject = subject_of(
        model, train, valid, loss, score=score, optimizer=optimizer, input_shape=input_shape, seed=seed
    )
    return advise_on(subject, target=target, minutes=minutes, space=space, sites=sites, out=out, seed=seed)


def advise_on(
    subject: Subject,
    *,
    target: str | None,
    minutes: float,
    space: Sequence[Attention],
    sites: Sequence[str] | Mapping[str, int] | None,
    out: str | Path | None,
    seed: int,
) -> Advice:
    """Advice on a subject; see `advise`."""
    if not minutes > 0:
        raise InputError(f"minutes={minutes} is not positive")
    began = time.monotonic()
    plain = subject.model()
    places = places_of(plain, space, sites, network=subject.network)
    records = AdviceRecords(None if out is None else Path(out))
    signature = _signature(subject, places, plain, target, seed)
    plan = records.plan(signature)
    if plan is None:
        device = next(iter(plain.parameters()), torch.zeros(())).device
        tables: dict[str, PlaceTable] = {
            metric: place_table(metric, places, plain, subject.input_shape, device) for metric in METRICS
        }
        limits = _limits(target, places, tables)
        plan = _planned(subject, space, sites, target, minutes, seed, signature, tables, plain)
        new = True
    else:
        tables, new = plan.tables, False
        limits = _limits(target, places, tables)
    spent = records.seconds

    def seconds() -> float:
        return spent + time.monotonic() - began

    num_seeds = plan.seeds_in(60 * minutes, MOST_SEEDS)
    if num_seeds < LEAST_SEEDS:
        raise InputError(
            f"{minutes:g} minutes are {num_seeds} trainings of each row, which show nothing; give "
            f"{plan.minutes_of(LEAST_SEEDS):.3g} minutes or more"
        )
    if new:
        records.begin(plan)
    log.info(
        "planned: %d steps of search, then up to %d rows with %d seeds of %d steps each, about %.3g minutes",
        plan.search_steps, MOST_ROWS, num_seeds, plan.train_steps, plan.minutes_of(num_seeds),
    )  # fmt: skip
    known = records.found(places)
    if known is None:
        known = _search(subject, space, sites, target, plan, records, seed, seconds)
        records.keep_found(*known, seconds())
    found, shares = known
    rows = rows_of(places, found, shares, tables, limits, seed)
    log.info("found  %s", found)
    for number in range(num_seeds):
        for name, placement in rows.items():
            if records.score(name, number) is None:
                if seconds() > 60 * minutes and number >= LEAST_SEEDS:
                    break
                value = _trained(subject, placement, plan.train_steps, seed_of(seed, "training", number))
                records.keep_score(name, number, value, seconds())
                log.info("%.1f min  %s, seed %d: %.5g", seconds() / 60, name, number, value)
    whole = [n for n in range(MOST_SEEDS) if all(records.score(name, n) is not None for name in rows)]
    advice = concluded(
        rows,
        {name: costs_of(placement, tables) for name, placement in rows.items()},
        {name: [value for n in whole if (value := records.score(name, n)) is not None] for name in rows},
        score_name=subject.score_name,
        complete=len(whole) >= LEAST_SEEDS,
        seconds=seconds(),
    )
    records.conclude(advice, seconds())
    return advice


def _signature(
    subject: Subject, places: Places, plain: nn.Module, target: str | None, seed: int
) -> dict[str, Any]:
    """What tells advice on one thing from that on another."""
    total = sum(float(weight.detach().double().abs().sum()) for weight in plain.parameters())
    return {
        "sites": list(places.rows),
        "candidates": list(places.primitives),
        "target": target,
        "seed": seed,
        "weights": f"{total:.9e}",
        "batches": [len(half) for half in subject.halves],
        "input_shape": list(subject.input_shape),
    }


def _limits(target: str | None, places: Places, tables: Mapping[Any, PlaceTable]) -> Limits | None:
    return None if target is None else Limits(places, parse_target(target), dict(tables))


def _planned(
    subject: Subject,
    space: Sequence[Attention],
    sites: Sequence[str] | Mapping[str, int] | None,
    target: str | None,
    minutes: float,
    seed: int,
    signature: dict[str, Any],
    tables: Mapping[str, PlaceTable],
    plain: nn.Module,
) -> AdvicePlan:
    """Times a few steps of both kinds, and shares the minutes out."""
    search = searching(
        subject.model(), steps=1 + TIMED, space=space, sites=sites, target=target,
        input_shape=subject.input_shape, seed=seed,
    )  # fmt: skip
    pairs = [tuple(_nth(half, number) for half in subject.halves) for number in range(1 + TIMED)]
    search.step(subject.loss, *pairs[0])
    began = time.monotonic()
    for pair in pairs[1:]:
        search.step(subject.loss, *pair)
    search_step = (time.monotonic() - began) / TIMED
    dearest = max(
        (name for name in search.space.primitives if name != "none"),
        key=lambda name: max(tables["latency"].sites[row].get(name, 0.0) for row in search.space.rows),
    )
    where = [row for row in search.space.rows if dearest in search.space.names_at(row)]
    placement = search.space.genotype(
        [dearest if row in where else search.space.names_at(row)[0] for row in search.space.rows]
    )
    began = time.monotonic()
    _trained(subject, placement, 1, seed, scored=False)
    first = time.monotonic() - began
    began = time.monotonic()
    _trained(subject, placement, 1 + TIMED, seed, scored=False)
    train_step = max(1e-4, (time.monotonic() - began - first) / TIMED)
    began = time.monotonic()
    subject.score(subject.model())
    scoring = time.monotonic() - began + max(0.0, first - train_step)
    seconds = 60 * minutes
    search_steps = int(min(MOST_STEPS, max(LEAST_STEPS, SEARCH_SHARE * seconds / search_step)))
    left = (1 - SEARCH_SHARE) * seconds / (MOST_ROWS * LEAST_SEEDS) - scoring
    train_steps = int(min(MOST_STEPS, max(LEAST_STEPS, left / train_step)))
    return AdvicePlan(
        signature=signature,
        search_steps=search_steps,
        train_steps=train_steps,
        search_seconds=search_steps * search_step,
        training_seconds=MOST_ROWS * (train_steps * train_step + scoring),
        tables=dict(tables),
    )


def _nth(batches: Any, number: int) -> Any:
    return batches.batch(*divmod(number, len(batches)))


def _search(
    subject: Subject,
    space: Sequence[Attention],
    sites: Sequence[str] | Mapping[str, int] | None,
    target: str | None,
    plan: AdvicePlan,
    records: AdviceRecords,
    seed: int,
    seconds: Callable[[], float],
) -> tuple[Placement, Mapping[str, Mapping[str, float]]]:
    """Searches, from where a stopped one left off."""
    search = searching(
        subject.model(), steps=plan.search_steps, space=space, sites=sites, target=target,
        input_shape=subject.input_shape, seed=seed,
    )  # fmt: skip
    if (state := records.checkpoint()) is not None:
        search.load_state_dict(state)
        log.info("search: going on at step %d of %d", search.step_number, plan.search_steps)
    kept = time.monotonic()
    while search.step_number < plan.search_steps:
        number = search.step_number
        search.step(subject.loss, *(_nth(half, number) for half in subject.halves))
        if time.monotonic() - kept > records.CHECKPOINT_SECONDS:
            records.keep_checkpoint(search.state_dict(), seconds())
            kept = time.monotonic()
    return search.found(), search.shares()


def _trained(subject: Subject, placement: Placement, steps: int, seed: int, *, scored: bool = True) -> float:
    """The score of the network with a placement, trained from the weights that it starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = attach(subject.model(), placement, identity=True)
        optimizer, batches = subject.optimizer(network), subject.whole(seed)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for number in range(steps):
            optimizer.zero_grad()
            loss = subject.loss(network, _nth(batches, number))
            loss.backward()
            optimizer.step()
            schedule.step()
        if not scored:
            return 0.0
        value = subject.score(network)
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError("a trained network has no finite score; lower the rate of the optimizer")
    return value
