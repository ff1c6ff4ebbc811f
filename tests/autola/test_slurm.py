"""Workers as jobs of Slurm: submitit's local executor, its signals, and the script that sbatch would get."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autola.executors import EXECUTORS, slurm
from autola.executors.slurm import Slurm, Worker
from autola.working import worker
from foundation.errors import InputError
from tests.autola.runs import RETRAIN, records

DOCUMENTED = {
    *("array", "cpus-per-task", "error", "gpus-per-node", "job-name", "mem", "nodes", "ntasks-per-node"),
    *("open-mode", "output", "partition", "signal", "time", "wckey", "account", "qos", "constraint"),
}
"""Options of sbatch(1) that the script may have."""


def test_the_place_is_known() -> None:
    assert EXECUTORS["slurm"]("time=30,partition=gpu").where == "by Slurm"


def test_without_submitit_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"pip install 'autola\[slurm\]'"):
        Slurm("").open(gpus=False, threads=1)


@pytest.fixture
def submitit():
    return pytest.importorskip("submitit", reason="needs pip install 'autola[slurm]'")


def test_without_slurm_one_line_says_so(submitit, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no Slurm on this machine"):
        Slurm("").open(gpus=False, threads=1)


def test_the_script_is_an_array_of_documented_options(submitit, tmp_path, monkeypatch):
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho Submitted batch job 17\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    place = Slurm("workers=3,time=90,partition=gpu,account=us,gpus=1,cpus=4,memory=8")
    place.open(gpus=False, threads=1)
    for _ in range(3):
        place.start(json.dumps({"whole": str(tmp_path)}))
    monkeypatch.setattr(submitit.SlurmJob, "done", lambda job, force_check=False: False)
    assert place.alive() == 3
    script = next((tmp_path / "slurm").glob("*_submission.sh"))
    lines = script.read_text().splitlines()
    flags = [
        line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH --")
    ]
    known = {name: value for name, _, value in flags}
    assert known.keys() <= DOCUMENTED
    wanted = {"array": "0-2%3", "time": "90", "partition": "gpu", "account": "us", "gpus-per-node": "1"}
    wanted |= {"cpus-per-task": "4", "mem": "8GB", "signal": "USR2@90", "nodes": "1", "open-mode": "append"}
    assert known.items() >= wanted.items()
    assert any(line.startswith("srun ") and "submitit.core._submit" in line for line in lines)


def test_what_sbatch_says_against_it_is_the_line(submitit, tmp_path, monkeypatch):
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho sbatch: error: invalid partition >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    place = Slurm("partition=none")
    place.open(gpus=False, threads=1)
    place.start(json.dumps({"whole": str(tmp_path)}))
    with pytest.raises(InputError, match=r"sbatch refuses the jobs: .*invalid partition"):
        place.alive()


def test_the_signal_asks_first_and_then_puts_the_job_back(submitit, monkeypatch):
    happened = list[Any]()

    def main(task: str) -> str:
        from autola.stopping import asked, polite

        with polite(signal.SIGTERM):
            signal.raise_signal(signal.SIGUSR2)
            happened.append(("asked", asked()))
        return ""

    monkeypatch.setattr(worker, "main", main)
    before = signal.signal(signal.SIGUSR2, lambda number, frame: happened.append(("requeued", number)))
    try:
        assert Worker()("{}") == ""
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert happened == [("asked", True), ("requeued", signal.SIGUSR2)]
    again = Worker().checkpoint("{}")
    assert isinstance(again.function, Worker)
    assert again.args == ("{}",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its logs open
def test_a_task_runs_in_submitits_debug_executor(submitit, tmp_path):
    task = json.dumps({"whole": str(tmp_path / "nowhere")})
    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="debug")
    before = signal.getsignal(signal.SIGUSR2)
    try:
        assert "nowhere is not there, or has no work.json" in executor.submit(Worker(), task).result()
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.slow
@pytest.mark.parametrize("preempted", [False, True])
def test_jobs_of_the_local_executor_end_the_same_to_the_bit(
    submitit, call, own_folder, preempted, monkeypatch
):
    command = f"retrain none se {RETRAIN} --train.epochs 60"
    assert call(command, "--out whole").code == 0
    signalled = list[str]()
    real = Slurm.alive

    def alive(place: Slurm) -> int:
        for job in place._jobs if preempted and not signalled else ():
            for log in own_folder.glob("run/*/metrics.jsonl"):
                if not signalled and log.stat().st_size:
                    _signal_tasks(job)
                    signalled.append(job.job_id)
        return real(place)

    monkeypatch.setattr(slurm.Slurm, "alive", alive)
    told = call(command, "--out run --on slurm:cluster=local,workers=2")
    assert told.code == 0, told.err
    assert bool(signalled) == preempted
    text = "".join(path.read_text() for path in own_folder.glob("run/slurm/*_log.err"))
    assert ("Requeued job" in text or "Caught signal" in text) == preempted
    assert _without_slurm(records(own_folder / "run")) == records(own_folder / "whole")


def _signal_tasks(job: Any) -> None:
    """Sends the signal to the processes of a job: submitit's controller passes on SIGTERM alone."""
    import psutil

    for process in psutil.Process(int(job.job_id)).children(recursive=True):
        if "submitit.core._submit" in process.cmdline():
            process.send_signal(signal.SIGUSR2)
    time.sleep(0.1)


def _without_slurm(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if Path(name).parts[0] != "slurm"}
