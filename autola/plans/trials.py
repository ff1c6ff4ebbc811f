"""A black-box search whose candidates are items of work: whoever takes them up, the answer is the same."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lightning.fabric import Fabric

from autola.configs import AnySearch
from autola.found import Found, found_in
from autola.plans import Plan
from autola.problem import search_problem
from autola.runs import tracked
from autola.runtime import device_line, in_first
from autola.working import modules_for
from autola.working.driver import do_work
from autola.working.items import read_item
from autola.working.making import make_item, make_list
from autola.working.progress import missing, missing_line
from autola.working.settings import Settings
from autola.working.trying import FIGURES, SCORE, SECONDS
from autola.working.worklist import WorkList
from foundation.errors import InputError
from foundation.files import write_atomically
from outputs.records import RESULT, WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.tensorboard import TensorBoardLog
from outputs.trackers import NONE
from outputs.tracking import Tracking
from searchers.blackbox import BlackBox
from searchers.candidates import Trial, best_of
from searchers.searches.trained import figures_of

log = logging.getLogger(__name__)


class Trials(Plan):
    """Candidates in batches: those that are proposed at once wait for workers, and are judged together."""

    kind = "search"
    many = True

    def __init__(self, config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None) -> None:
        assert isinstance(config.searcher, BlackBox)
        self._problem, self.data = search_problem(config, fabric, costs)
        self._searcher, self._fabric = config.searcher, fabric
        self._steps = self._searcher.epochs * len(self._problem.batches(0, self._searcher.batch_size))
        self._propose = self._searcher.proposals(self._problem)
        self._propose([])  # whatever is wrong shows before anything is written

    def run(self, config: AnySearch, run: RunDirectory) -> Found:
        log.info("%s  seed %d  %s", run.path, config.seed, device_line(self._fabric))
        log.info("%s on %s in %s", config.searcher.name, config.subject, config.network_name)
        history = list[Trial]()
        with tracked(run, config.tracker, self._fabric) as tracking:
            while len(history) < self._searcher.trials:
                batch = self._batch(history)
                self._do(config, run, [trial.genotype for trial in (*history, *batch)], len(history))
                for trial in batch:
                    self._judged(run, tracking, history, trial)
            best = best_of(history)

            def complete() -> None:
                last = run.path / _name(len(history) - 1) / WEIGHTS
                write_atomically(run.path / WEIGHTS, lambda path: shutil.copyfile(last, path))
                result = {"genotype": str(best), "seconds": run.metrics.seconds()}
                tracking.conclude(result)  # first: a run that is complete is not looked at again
                run.write_json(RESULT, result)

            in_first(self._fabric, complete)
        return found_in(run)

    def _batch(self, history: list[Trial]) -> list[Trial]:
        """What is proposed before the next score is known."""
        batch = list[Trial]()
        while (number := len(history) + len(batch)) < self._searcher.trials:
            if self._searcher.num_known(number) > len(history):
                break
            batch.append(Trial(genotype=self._propose([*history, *batch]), score=None))
        return batch

    def _do(self, config: AnySearch, run: RunDirectory, candidates: list[Any], done: int) -> None:
        """Has the trials of a batch done that are not.

        Args:
            config: The search.
            run: Its folder.
            candidates: What all trials judge, from the first to the last of the batch.
            done: Trials before the batch.
        """
        single = replace(config, tracker=(NONE,))
        modules = modules_for(self.on, config)

        def make() -> WorkList:
            for number, candidate in enumerate(candidates[done:], done):
                kept: Any = {"device": self._fabric.device, "modules": modules}
                kept |= {"trial": number, "candidate": candidate.to_json()}
                make_item(run, _name(number), single, config.seed, lambda: self.data, **kept)
                if read_item(run.path / _name(number)).candidate != kept["candidate"]:
                    raise InputError(
                        f"{run.path / _name(number)} judges another candidate than the search proposes; was "
                        "it edited? start again"
                    )
            names = [_name(number) for number in range(len(candidates))]
            made: Any = {"command": "search", "epochs": self._searcher.epochs, "modules": modules}
            made["more"] = self._searcher.trials - len(names)
            return make_list(run.path, names, fabric=self._fabric, **made)

        worklist = in_first(self._fabric, make) or WorkList(run.path)
        in_first(self._fabric, worklist.forgive)
        do_work(worklist, self.on, Settings(self._fabric))
        if self._fabric.world_size == 1 and (failed := missing(worklist)):
            raise InputError(missing_line(worklist, *failed[0]))

    def _judged(self, run: RunDirectory, tracking: Tracking, history: list[Trial], trial: Trial) -> None:
        """Takes in what became of a trial, and writes the record of it that one process would have."""
        number = len(history)
        result = RunDirectory(run.path / _name(number)).keys(RESULT, SCORE, FIGURES, SECONDS)
        score = result[SCORE]
        history.append(replace(trial, score=score, failed=score is None))
        figures = figures_of(history, self._searcher.trials, result[FIGURES], self._problem.score)
        best = best_of(history) or trial.genotype
        step = (number + 1) * self._steps
        line = {"epoch": number + 1, "step": step, **figures, "epoch_seconds": round(result[SECONDS], 3)}

        def record() -> None:
            if len(run.metrics.records()) > number:
                return
            run.write_genotype(best, None)
            board = TensorBoardLog(run.path, step - self._steps)
            board.log(step, {**figures, "epoch_seconds": result[SECONDS]})
            board.close()
            run.metrics.append(line)
            tracking.log(line)
            said = "failed" if score is None else f"{score:.4f}"
            log.info("trial %d of %d: %s, %s", number + 1, self._searcher.trials, said, trial.genotype)

        in_first(self._fabric, record)


def _name(number: int) -> str:
    return f"trial-{number + 1}"
