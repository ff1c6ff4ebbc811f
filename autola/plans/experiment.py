"""A search as an NNI experiment of many trials, with its records."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric
from pydantic import TypeAdapter

from autola.cli import IMPORTED
from autola.configs import AnySearch, SearchConfig
from autola.extensions import modules_of
from autola.found import Found, found_in
from autola.plans import Plan
from autola.problem import search_problem
from autola.runs import tracked
from autola.runtime import device_line
from foundation.config import parse, parse_json, read_text, to_json
from foundation.errors import InputError
from foundation.files import write_text
from outputs.records import CONFIG, DATA, RESULT
from outputs.run_directory import RunDirectory
from outputs.trackers import NONE
from outputs.tracking import Tracking
from search_space.genotype import Genotype
from searchers.blackbox import BlackBox
from searchers.candidates import Trial, best_of, scores
from searchers.nni.experiment import Experiment, Finished
from searchers.nni.manager import HOST, wait_for_port
from searchers.searches.problem import Problem

log = logging.getLogger(__name__)

NNI, CODE = "nni", "trial"
"""Folders of a run: NNI's own records; what every trial gets a copy of."""


class Experiments(Plan):
    """Trials in processes of their own, handed out by NNI."""

    kind = "trials"

    @staticmethod
    def check(config: AnySearch) -> None:
        searcher = config.searcher
        if not isinstance(searcher, BlackBox):
            raise InputError(
                f"{searcher.name} is no black-box searcher, so --engine nni cannot run it; choose for "
                "example random, evolution, reinforce or nni:tpe"
            )
        if searcher.shared:
            raise InputError(
                f"{searcher.name} shares the weights of one supernet, but --engine nni trains every "
                "candidate; add --searcher.no-shared"
            )
        if config.of_places:
            raise InputError("--engine nni searches cells; leave it out to search the space places")
        if len(config.target) > 1:
            raise InputError("--engine nni takes one --target; join limits that hold together by commas")
        if config.devices > 1:
            raise InputError("--engine nni runs every trial on one device; use --jobs")
        assert isinstance(config, SearchConfig), "other searches are of places"
        modules_of(config, IMPORTED)  # refuses what no trial could import
        options = config.experiment
        wait_for_port(options.portal_port, options.portal_host)
        service = _service(options.training_service)
        if service is not None and service.get("platform") != "local" and options.portal_host == HOST:
            raise InputError(
                "trials on other machines have to reach NNI's manager, and it listens on the loopback alone; "
                "give --portal-host ADDRESS, this machine's in their network (its portal has no password)"
            )

    def __init__(self, config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None) -> None:
        assert isinstance(config.searcher, BlackBox)
        self._searcher = config.searcher
        self._problem, self.data = search_problem(config, fabric, costs)
        self._problem.batches(0, self._searcher.batch_size)  # refuses what would fail in every trial
        space = self._problem.space
        self._problem.found(space.genotype([space.candidates[0]] * len(space.rows)), 0)

    def run(self, config: AnySearch, run: RunDirectory) -> Found:
        """The trials that are left: those that ended count, the others begin again."""
        with tracked(run, config.tracker, self._problem.fabric) as tracking:
            return self._run(config, run, tracking)

    def _run(self, config: AnySearch, run: RunDirectory, tracking: Tracking) -> Found:
        records, searcher = run.metrics.records("trial", "trial_accuracy", "genotype"), self._searcher
        history = [_trial(record) for record in sorted(records, key=lambda record: record["trial"])]
        if len(records) < searcher.trials:
            log.info("%s  seed %d  %s", run.path, config.seed, device_line(self._problem.fabric))
            ended = _run(config, self._problem, run, history, searcher)
            for number, finished in enumerate(ended, len(records) + 1):
                failed = finished.score is None
                history.append(Trial(genotype=finished.genotype, score=finished.score, failed=failed))
                tracking.log(_record(run, number, finished, history))
        best = best_of(history)
        if best is None:
            raise InputError(
                f"none of the {len(history)} trials came to an end; "
                f"metrics.jsonl in {run.path} names their logs"
            )
        result = {"genotype": str(best), "seconds": run.metrics.seconds()}
        tracking.conclude(result)
        run.write_json(RESULT, result)
        failed = sum(trial.failed for trial in history)
        log.info("%d trials, %d of them failed; best %.4f", len(history), failed, max(scores(history)))
        return found_in(run)


def _run(
    config: AnySearch, problem: Problem, run: RunDirectory, history: list[Trial], searcher: BlackBox
) -> Iterator[Finished]:
    """Trials as they end, from an experiment that is stopped whatever happens."""
    assert isinstance(config, SearchConfig), "other searches are refused at the start"
    code = run.path / CODE
    code.mkdir(exist_ok=True)
    # A trial needs no limits, which what it is given keeps, and writes no records of its own.
    write_text(code / CONFIG, to_json(replace(config, target=(), tracker=(NONE,))))
    write_text(code / DATA, run.text(DATA))
    keys = TypeAdapter(SearchConfig).dump_python(config, mode="json")["searcher"]
    options, modules = config.experiment, modules_of(config, IMPORTED)
    experiment = Experiment(
        searcher=keys,
        candidates=problem.candidates,
        history=list(history),
        num_trials=searcher.trials - len(history),
        command=_command(modules, remote=options.training_service is not None),
        code=code,
        folder=run.path / NNI,
        concurrency=options.jobs,
        port=options.portal_port,
        host=options.portal_host,
        trial_seconds=max(1, round(60 * options.trial_minutes)),
        service=_service(options.training_service),
        uses_gpu=problem.fabric.device.type == "cuda",
        imports=modules,
    )
    with experiment:
        log.info("portal %s", experiment.portal)
        yield from experiment.finished()


def _command(modules: Sequence[str], *, remote: bool) -> str:
    """Starts a trial: where autola and the user's modules are to be found is known on this machine alone."""
    words = ["python3" if remote else sys.executable, "-m", "autola.trial", *modules]
    if remote:
        return shlex.join(words)
    found_here = (path for path in sys.path if path and not path.startswith((sys.base_prefix, sys.prefix)))
    paths = os.pathsep.join(dict.fromkeys([str(Path(__file__).parents[2]), os.getcwd(), *found_here]))
    return f"PYTHONPATH={shlex.quote(paths)} {shlex.join(words)}"


def _service(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    return parse_json(dict, read_text(path, "training service"), str(path))


def _record(run: RunDirectory, number: int, finished: Finished, history: list[Trial]) -> dict[str, Any]:
    """Writes what became of a trial, and the best genotype so far; returns the line of metrics.jsonl."""
    known = scores(history)
    line: dict[str, Any] = {
        "epoch": number,
        "trial": finished.trial,
        "status": finished.status,
        "genotype": json.loads(finished.genotype.to_json()),
        "trial_accuracy": finished.score,
        "best_accuracy": max(known) if known else None,
        "epoch_seconds": round(finished.seconds, 3),
        "log": os.path.relpath(finished.log, run.path),
    }
    run.metrics.append(line)
    if finished.score is None:
        log.warning("trial %d: %s; see %s", finished.trial, finished.status, finished.log)
    else:
        log.info("trial %d: %.4f, %.0f s", finished.trial, finished.score, finished.seconds)
    best = best_of(history)
    if best is not None:
        run.write_genotype(best, None)
    return line


def _trial(record: dict[str, Any]) -> Trial:
    score = record["trial_accuracy"]
    genotype = parse(Genotype, record["genotype"], "genotype of metrics.jsonl")
    return Trial(genotype=genotype, score=score, failed=score is None)
