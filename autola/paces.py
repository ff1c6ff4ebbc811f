"""How long a search takes: each kind of search has other phases, and a few steps of each are timed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from autola.drive import CHECKPOINT_SECONDS
from autola.pace import LEAST, WARM_UP, Clock, Writing, evaluation_seconds
from evaluators.tasks.classification.training import evaluate
from outputs.records import WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.weights import save_weights
from searchers import Search, SearcherConfig
from searchers.candidates import Trial
from searchers.searches.curvature import alpha_eigenvalue
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.finals import FinalSearch
from searchers.searches.perturbation import losses_without
from searchers.searches.problem import Problem
from searchers.searches.shared import STATISTICS_BATCHES, SharedSearch
from searchers.searches.trained import TrainedSearch, training_of

DRAWN = 4
"""Candidates whose trainings are timed: they differ by their operators."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a search takes; the names are those of `Part`."""

    seconds: float
    steps: int
    step_seconds: float
    timed_steps: int
    checkpoint_bytes: int
    kept_bytes: int


def of_search(config: SearcherConfig, problem: Problem, run: RunDirectory, clock: Clock) -> Timed:
    """What a search takes, from its first step to its end.

    Args:
        config: The searcher.
        problem: What is searched.
        run: A run folder for records, on the disk where they are going to be.
        clock: Times it.
    """
    job: Search
    begin = clock.now()
    job = config.start(problem)
    build = clock.now() - begin
    return replace(timed := _of_job(job, run, clock), seconds=build + timed.seconds)


def _of_job(job: Search, run: RunDirectory, clock: Clock) -> Timed:
    if isinstance(job, FinalSearch):
        return _with_finals(job, run, clock)
    if isinstance(job, DifferentiableSearch):
        timed = _differentiable(job, run, clock)
    elif isinstance(job, SharedSearch):
        timed = _shared(job, run, clock)
    elif isinstance(job, TrainedSearch):
        timed = _trained(job, run, clock)
    else:
        timed = _other(job, run, clock)
    return timed


def _with_finals(job: FinalSearch, run: RunDirectory, clock: Clock) -> Timed:
    """The search, and a training for each finalist, one of which is timed."""
    timed = _of_job(job.search, run, clock)
    training = job.training_of(job.search.genotype())
    if training is None:
        return timed
    limit = training.total_steps

    def advance() -> None:
        if training.step == limit:
            training.step = 0
        training.advance()

    step, _ = clock.steps(advance, most=max(limit, WARM_UP + LEAST))
    judging = clock.of(lambda: job.problem.judge(training.trained(), job.judging_batches))
    each = step * limit + judging
    return replace(
        timed,
        seconds=timed.seconds + job.num_finalists * each,
        steps=timed.steps + job.num_finalists * job.steps_each,
    )


def _timed(
    job: Search,
    run: RunDirectory,
    clock: Clock,
    *,
    computing: float,
    epochs: int,
    step: tuple[float, int],
    shares: Any = None,
) -> Timed:
    """What a search takes with its records.

    Args:
        job: The search, at the end of an epoch.
        run: Its folder.
        clock: Times the writing of its records and weights.
        computing: Seconds of all that it computes.
        epochs: How many there are.
        step: Seconds of a step, and how many were timed.
        shares: Shares of the edges that each epoch records, if it does.
    """
    writing = Writing(job, run, clock, shares)
    weights = run.path / WEIGHTS
    end = clock.of(lambda: save_weights(weights, job.weights()))
    between = epochs * int(computing / epochs / CHECKPOINT_SECONDS)
    return Timed(
        seconds=computing + epochs * writing.record + between * writing.checkpoint + end,
        steps=job.total_steps,
        step_seconds=step[0],
        timed_steps=step[1],
        checkpoint_bytes=writing.checkpoint_bytes,
        kept_bytes=weights.stat().st_size + epochs * writing.record_bytes,
    )


def _differentiable(job: DifferentiableSearch, run: RunDirectory, clock: Clock) -> Timed:
    config, schedule, each = job.config, job.schedule, job.steps_per_epoch
    resting = sum(schedule.resting(epoch) for epoch in range(schedule.search_epochs))
    phases = {0: resting, resting: schedule.search_epochs + schedule.tuning_epochs - resting}
    total, first, timed, done = 0.0, 0.0, 0, 0
    for begin, epochs in phases.items():
        if not epochs:
            continue

        def advance(begin: int = begin) -> None:
            if job.step % each == each - 1 or job.step // each != begin:  # the last step ends the epoch
                job.step = begin * each
            job.advance()

        seconds, count = clock.steps(advance, most=max(each, WARM_UP + LEAST))
        total += seconds * each * epochs
        first, timed = first or seconds, timed + count
        done += epochs
    every = config.guards.curvature_every
    if every and schedule.search_epochs // every:
        total += clock.of(lambda: alpha_eigenvalue(job)) * (schedule.search_epochs // every)
    if config.derive == "perturbation":
        total += _perturbation(job, clock)
    job.step = each
    return _timed(job, run, clock, computing=total, epochs=done, step=(first, timed), shares=job.shares())


def _perturbation(job: DifferentiableSearch, clock: Clock) -> float:
    """Seconds of deciding all edges by perturbation: one batch of one edge is timed."""
    config = job.config
    columns = list(job.problem.space.candidate_columns)
    batches = min(config.perturbation.batches or job.steps_per_epoch, job.steps_per_epoch)
    job.config = replace(config, perturbation=replace(config.perturbation, batches=1))
    one = clock.of(lambda: losses_without(job, 0, columns, 0))
    job.config = config
    return one * batches * len(job.problem.space.rows)


def _trained(job: TrainedSearch, run: RunDirectory, clock: Clock) -> Timed:
    problem, recipe = job.problem, job.recipe
    candidates = problem.candidates
    paces, builds = list[tuple[float, int]](), 0.0
    for trial in range(min(DRAWN, job.num_trials)):
        genotype = candidates.sample(random.Random(trial))
        begin = clock.now()
        training = training_of(problem, recipe, job.train_batches, genotype, trial)
        builds += clock.now() - begin
        job.training = training
        limit = training.total_steps

        def advance() -> None:
            if training.step == limit:  # noqa: B023, called at once
                training.step = 0  # noqa: B023
            training.advance()  # noqa: B023

        paces.append(clock.steps(advance, most=max(limit, WARM_UP + LEAST), share=1 / DRAWN))
    step = sum(seconds for seconds, _ in paces) / len(paces)
    judging = evaluation_seconds(
        clock,
        job.training.trained(),
        lambda: evaluate(job.training.trained(), job.judging_batches, problem.fabric),
        len(job.judging_batches),
    )
    trial_seconds = builds / len(paces) + job.steps_per_epoch * step + judging
    job.history = [Trial(genotype=job.present, score=0.0)]
    return _timed(
        job,
        run,
        clock,
        computing=job.num_trials * trial_seconds,
        epochs=job.num_trials,
        step=(step, sum(count for _, count in paces)),
    )


def _shared(job: SharedSearch, run: RunDirectory, clock: Clock) -> Timed:
    training = job.training

    def advance() -> None:
        if training.step == training.total_steps:
            training.step = 0
        training.advance()

    step, count = clock.steps(advance, most=max(training.total_steps, WARM_UP + LEAST))
    candidates, supernet = job.task.candidates, job.task.supernet
    genotypes = [candidates.sample(random.Random(trial)) for trial in range(min(DRAWN, job.num_trials))]
    passes = min(STATISTICS_BATCHES, len(job.task.train)) + len(job.judging_batches)
    judging = [
        evaluation_seconds(clock, supernet, lambda: job.judge(genotype), passes)  # noqa: B023, called at once
        for genotype in genotypes
    ]
    total = step * training.total_steps + job.num_trials * sum(judging) / len(judging)
    epochs = job.total_steps // job.steps_per_epoch
    return _timed(job, run, clock, computing=total, epochs=epochs, step=(step, count))


def _other(job: Search, run: RunDirectory, clock: Clock) -> Timed:
    """A searcher of the user's: its steps are taken to be alike."""
    within = max(1, job.steps_per_epoch - 1)
    step, count = clock.steps(job.advance, most=max(1, min(within, job.total_steps)))
    while job.step < job.steps_per_epoch:
        job.advance()
    epochs = job.total_steps // job.steps_per_epoch
    total = step * job.total_steps
    return _timed(job, run, clock, computing=total, epochs=epochs, step=(step, count), shares=job.shares())
