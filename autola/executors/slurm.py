"""Workers as jobs of Slurm, by submitit: an array, each job of which takes up items as long as there are any.

A job that comes to its time limit, or is preempted, writes a checkpoint and goes back into the queue. What
submitit writes (`slurm/` in the run's folder) are pickles, read by the jobs of whoever wrote them: never take
over such a folder from somebody else.

Source: https://github.com/facebookincubator/submitit
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from autola.executors import EXECUTORS, Ended, number_of, options_of
from foundation.errors import InputError, listed, shown

USUAL = {
    "workers": "32",
    "time": "60",
    "partition": "",
    "account": "",
    "qos": "",
    "constraint": "",
    "cpus": "",
    "gpus": "",
    "memory": "",
    "requeues": "100",
    "cluster": "slurm",
}
"""Options: jobs at most; minutes of each; sbatch's own; CPUs, GPUs and GB of memory of each; times that a job
may come to its limit; slurm, or local to try it out on this machine."""

OF_SLURM = ("partition", "account", "qos", "constraint")

CLUSTERS = ("slurm", "local")

SIGNAL_SECONDS = 90
"""Time between the signal and the end of a job: a checkpoint has to be written in it."""

LEAST_MINUTES = 4
"""Shorter jobs would be told to stop before Python and PyTorch have started and an epoch is over."""

FOLDER = "slurm"
"""In the run's folder: what submitit writes, the output of the jobs included."""


class Slurm:
    """Jobs of Slurm, one a worker.

    Args:
        text: Options.

    Raises:
        InputError: If they cannot be read.
    """

    def __init__(self, text: str) -> None:
        self._options = options_of(text, USUAL, "slurm")
        self.most = number_of(self._options, "workers", "slurm", 10_000)
        for key, most in (("time", 1_000_000), ("requeues", 10_000)):
            number_of(self._options, key, "slurm", most)
        for key, most in (("cpus", 4096), ("gpus", 64), ("memory", 100_000)):
            if self._options[key]:
                number_of(self._options, key, "slurm", most)
        if int(self._options["time"]) < LEAST_MINUTES:
            raise InputError(
                f"--on slurm: time is {self._options['time']} minutes, and a job stops {SIGNAL_SECONDS} "
                f"seconds before its end; give at least {LEAST_MINUTES}"
            )
        if self._options["cluster"] not in CLUSTERS:
            cluster = shown(self._options["cluster"])
            raise InputError(f"--on slurm: cluster is {cluster}; give {listed(CLUSTERS)}")
        self.where, self.local = "by Slurm", False
        self._asked: dict[str, Any] = {}
        self._executor: Any = None
        self._new, self._jobs = list[str](), list[Any]()

    def open(self, *, gpus: bool, threads: int) -> None:
        try:
            import_module("submitit")
        except ModuleNotFoundError as error:
            raise InputError(f"--on slurm needs {error.name}: pip install 'autola[slurm]'") from None
        known = self._options
        if known["cluster"] == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise InputError("no Slurm on this machine: sbatch and srun are not found")
        self._asked = {
            "name": "autola",
            "timeout_min": int(known["time"]),
            "nodes": 1,
            "tasks_per_node": 1,
            "cpus_per_task": int(known["cpus"] or threads),
            "gpus_per_node": int(known["gpus"] or gpus),
        }
        if known["memory"]:
            self._asked["mem_gb"] = int(known["memory"])

    def start(self, task: str) -> None:
        self._new.append(task)

    def alive(self) -> int:
        self._submit()
        return sum(not job.done() for job in self._jobs)

    def ended(self) -> list[Ended]:
        found = list[Ended]()
        for job in [each for each in self._jobs if each.done()]:
            self._jobs.remove(job)
            error = job.exception()
            if error is not None:
                last = str(error).strip().splitlines()[-1:] or [""]
                found.append(Ended(why=f"job {job.job_id}, {job.state}: {last[0][:200]}"))
            elif refused := job.result():
                found.append(Ended(refused=refused))
        return found

    def stop(self) -> None:
        self._new.clear()
        for job in self._jobs:
            job.cancel(check=False)

    def close(self) -> None:
        self.stop()
        self._jobs.clear()

    def _submit(self) -> None:
        """Submits what was started since the last time, as one array."""
        if not self._new:
            return
        if self._executor is None:
            self._executor = self._made(Path(json.loads(self._new[0])["whole"]) / FOLDER)
        try:
            self._jobs += self._executor.map_array(Worker(), self._new)
        except Exception as error:  # whatever submitit raises at what sbatch says
            raise InputError(f"sbatch refuses the jobs: {' '.join(str(error).split())[:300]}") from None
        self._new.clear()

    def _made(self, folder: Path) -> Any:
        submitit: Any = import_module("submitit")
        cluster = self._options["cluster"]
        executor = submitit.AutoExecutor(
            folder, cluster=cluster, slurm_max_num_timeout=int(self._options["requeues"])
        )
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
        own = {f"slurm_{key}": self._options[key] for key in OF_SLURM if self._options[key]}
        executor.update_parameters(
            **self._asked,
            **own,
            slurm_signal_delay_s=SIGNAL_SECONDS,
            slurm_array_parallelism=self.most,
            slurm_setup=[f"export PYTHONPATH={shlex.quote(path)}"],
            local_setup=[f"export PYTHONPATH={shlex.quote(path)}"],
        )
        return executor


EXECUTORS.add("slurm", Slurm)


class Worker:
    """What a job runs: submitit asks it what goes back into the queue."""

    def __call__(self, task: str) -> str:
        """Works; when the signal comes that time is nearly over, lets the item write its checkpoint first."""
        from autola.stopping import ask
        from autola.working.worker import main

        kind = signal.SIGUSR2
        requeue, caught = signal.getsignal(kind), list[tuple[int, Any]]()

        def take(number: int, frame: Any) -> None:
            caught.append((number, frame))
            ask()

        signal.signal(kind, take)
        refused = main(task)
        if caught and callable(requeue):
            requeue(*caught[0])  # submitit's own, which puts the job back and ends this process
        return refused

    def checkpoint(self, task: str) -> Any:
        """What submitit queues after a time-out: the same task; how far it came is in the items' folders."""
        return import_module("submitit").helpers.DelayedSubmission(self, task)
