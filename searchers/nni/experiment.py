"""Many trials as an NNI experiment: a manager with a web portal, and a process for every trial.

The manager asks a tuner (dispatch.py, in a process of its own) for genotypes and starts a trial for each,
which takes it by `trial_parameters` and reports its score by `report`. No record of autola's is written here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.config import adapter
from foundation.errors import InputError
from search_space.genotype import Genotype
from search_space.searchable import Searchable
from search_space.space import Space
from searchers.candidates import Candidates, History, Trial, stored
from searchers.nni.manager import HOST, POLL_SECONDS, Manager, wait_for_port
from searchers.nni.proposer import choices, name_of

ATTEMPTS = 4
"""Starts of an experiment: NNI gives up on a tuner that is not there within ten seconds, or does not answer
in time later on, as happens on a machine that is very busy."""
ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
TRIAL = "trial"
"""Among the parameters of a trial: its number. The others are the operators of the edges."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A trial that ended.

    Attributes:
        trial: Its number, from 0.
        genotype: What was tried.
        score: None where it failed.
        status: "succeeded", "crashed", "too slow" (its time was over) or "cancelled" (in the portal).
        seconds: How long it ran.
        log: Folder with what it printed.
    """

    trial: int
    genotype: Genotype
    score: float | None
    status: str
    seconds: float
    log: str


class Experiment:
    """An NNI experiment; a context, in which `finished` yields trials as they end.

    Args:
        searcher: Proposes; its config's JSON with its name.
        candidates: What it may propose.
        history: Trials of this search that ended before.
        num_trials: Trials still to do.
        command: Starts one trial.
        code: Folder that every trial gets a copy of.
        folder: Where NNI keeps its own records.
        concurrency: Trials at a time.
        port: Port of the web portal.
        host: Address that the portal listens on, beside the loopback.
        trial_seconds: A trial that takes longer is ended.
        service: NNI's settings of a training service ({"platform": "remote", ...}); None for this machine.
        uses_gpu: Whether trials of this machine need a GPU; they share it.
        imports: Modules of the user's that the tuner's process imports first.

    Raises:
        InputError: If the port is in use, or NNI refuses the settings.
    """

    def __init__(
        self,
        *,
        searcher: Mapping[str, Any],
        candidates: Candidates,
        history: History,
        num_trials: int,
        command: str,
        code: Path,
        folder: Path,
        concurrency: int,
        port: int,
        trial_seconds: int,
        host: str = HOST,
        service: Mapping[str, Any] | None = None,
        uses_gpu: bool = False,
        imports: Sequence[str] = (),
    ) -> None:
        from nni.experiment.config import CustomAlgorithmConfig, ExperimentConfig
        from nni.experiment.config.utils.internal import load_training_service_config
        from nni.runtime.log import silence_stdout

        wait_for_port(port, host)
        silence_stdout()
        self.candidates, self.num_trials, self.trial_seconds = candidates, num_trials, trial_seconds
        config = ExperimentConfig("local")
        config.trial_command, config.trial_code_directory = command, str(code.resolve())
        config.search_space = choices(candidates)
        config.trial_concurrency, config.max_trial_number = concurrency, num_trials
        config.max_trial_duration = f"{trial_seconds}s"
        config.experiment_working_directory = str(folder.resolve())
        self.given = _given(searcher, candidates, history, imports)
        config.tuner = CustomAlgorithmConfig(
            class_name="dispatch.ProposerTuner",
            code_directory=str(Path(__file__).parent),
            class_args={"given": json.dumps(self.given)},
        )
        if uses_gpu:
            config.trial_gpu_number = 1
            here: Any = config.training_service
            here.use_active_gpu, here.max_trial_number_per_gpu = True, concurrency
        self.config: Any = config
        self.manager = Manager(config, port, host)
        try:
            if service is not None:
                config.training_service = load_training_service_config(dict(service))
            config.validate()
        except (ValueError, AssertionError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"NNI refuses the settings of the experiment: {error}") from None

    def __enter__(self) -> Experiment:
        self.manager.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.manager.stop()

    @property
    def portal(self) -> str:
        """Address of the web portal."""
        return f"http://127.0.0.1:{self.manager.port}"

    def finished(self) -> Iterator[Finished]:
        """Trials as they end, until all have.

        Raises:
            InputError: If the manager or the tuner breaks down; what ended before is not lost.
        """
        known = set[str]()
        attempts = 1
        while len(known) < self.num_trials:
            status, jobs = self.manager.state()
            over = status in ("DONE", "STOPPED", "NO_MORE_TRIAL") and all(job.status in ENDED for job in jobs)
            for job in jobs:
                # The score of a trial that just ended may still be under way.
                complete = job.status != "SUCCEEDED" or job.finalMetricData or over
                if job.trialJobId not in known and job.status in ENDED and job.hyperParameters and complete:
                    known.add(job.trialJobId)
                    finished = self._finished(job)
                    failed = finished.score is None
                    trial = Trial(genotype=finished.genotype, score=finished.score, failed=failed)
                    self.given["history"] += stored([trial])
                    yield finished
            if status == "ERROR" and attempts < ATTEMPTS:
                attempts += 1
                self._start_again(len(known))
            elif status == "ERROR":
                log = self.manager.folder / "log" / "dispatcher.log"
                raise InputError(f"the tuner broke down; see {log}, then --resume")
            if over:
                return
            time.sleep(POLL_SECONDS)

    def _start_again(self, num_done: int) -> None:
        """Starts the manager again for the trials that are left; those under way begin again."""
        self.manager.stop()
        self.config.tuner.class_args = {"given": json.dumps(self.given)}
        self.config.max_trial_number = self.num_trials - num_done
        self.manager.start()

    def _finished(self, job: Any) -> Finished:
        parameters = job.hyperParameters[0].parameters
        space = self.candidates.space
        final = job.finalMetricData
        score = float(final[0].data) if final and job.status == "SUCCEEDED" else None
        begin, end = job.startTime or 0, job.endTime or job.startTime or 0
        seconds = (end - begin) / 1000
        status = "succeeded" if score is not None else why_no_score(job.status, seconds, self.trial_seconds)
        logs = self.manager.folder / "environments" / "local-env" / "trials" / job.trialJobId
        return Finished(
            trial=parameters[TRIAL],
            genotype=space.genotype([parameters[name_of(row)] for row in space.rows]),
            score=score,
            status=status,
            seconds=seconds,
            log=str(logs if logs.is_dir() else self.manager.folder),
        )


def _given(
    searcher: Mapping[str, Any], candidates: Candidates, history: History, imports: Sequence[str]
) -> dict[str, Any]:
    """What the tuner's process is given, as JSON values."""
    assert isinstance(candidates.space, Space), "placements are not searched by experiments"
    return {
        "searcher": dict(searcher),
        "space": adapter(Space).dump_python(candidates.space, mode="json"),
        "limits": None if candidates.limits is None else candidates.limits.to_values(),
        "seed": candidates.seed,
        "history": stored(history),
        "imports": list(imports),
        "path": [str(Path(__file__).parents[2]), *(path for path in sys.path if path)],
    }


def trial_parameters(space: Searchable) -> tuple[int, Any]:
    """In a trial's process: its number and genotype."""
    import nni

    parameters = nni.get_next_parameter()
    return parameters[TRIAL], space.genotype([parameters[name_of(row)] for row in space.rows])


def report(score: float, *, final: bool) -> None:
    """In a trial's process: reports the score of an epoch, or the one at the end."""
    import nni

    (nni.report_final_result if final else nni.report_intermediate_result)(score)


def why_no_score(state: str, seconds: float, most: float) -> str:
    """How a trial ended that has no score.

    Args:
        state: What NNI says; of one that it ended for its time that is EARLY_STOPPED, USER_CANCELED or, where
            its signal left the trial an exit code, FAILED.
        seconds: How long it ran.
        most: After which NNI ends it.
    """
    if seconds >= most:
        return "too slow"
    return "cancelled" if "CANCELED" in state else "crashed"
