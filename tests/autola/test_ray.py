"""Workers as tasks of Ray: two nodes on this machine, one of them killed; clusters that are refused."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autola.executors import ray as executor
from autola.executors.ray import Ray
from autola.working.apart import Parcel
from autola.working.worklist import WorkList
from foundation.errors import InputError
from tests.autola.runs import RETRAIN, records
from tests.autola.test_work_list import made

SMALL = "--data.limit 60 --width 8 --train.batch-size 20 --train.warmup-epochs 1"


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delenv(executor.MODE, raising=False)
    monkeypatch.setattr(executor.os, "environ", {})
    with pytest.raises(InputError, match=r"pip install 'autola\[ray\]'"):
        Ray("").open(gpus=False, threads=1)


def test_token_authentication_that_is_off_is_refused(monkeypatch):
    monkeypatch.setenv(executor.MODE, "disabled")
    with pytest.raises(InputError, match="RAY_AUTH_MODE is disabled, and Ray listens on every address"):
        Ray("").open(gpus=False, threads=1)


@pytest.fixture
def ray(monkeypatch, tmp_path):
    """Ray, with a token of this test's own."""
    monkeypatch.setenv(executor.MODE, "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-this-test-alone-0123456789abcdef")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pytest.importorskip("grpc", reason="needs pip install 'autola[ray]'")
    return pytest.importorskip("ray", reason="needs pip install 'autola[ray]'")


def test_a_cluster_that_is_not_there_is_refused(ray):
    with pytest.raises(InputError, match=r"no Ray cluster at ray://127.0.0.1:9 .*refused"):
        Ray("//127.0.0.1:9").open(gpus=False, threads=1)


class Answer:
    """A channel to a cluster that gives one answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *given: object) -> None: ...

    def unary_unary(self, method: str) -> Any:
        def ask(content: bytes, timeout: float) -> bytes:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return ask


def test_a_cluster_that_answers_without_its_token_is_refused(ray, monkeypatch):
    import grpc

    class Says(grpc.RpcError):
        def __init__(self, code: Any) -> None:
            self.said = code

        def code(self) -> Any:
            return self.said

    place = Ray("")
    place._ray = SimpleNamespace(get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"))
    for answer, message in (
        (b"yes", "10.0.0.1:6379 answers without a token"),
        (Says(grpc.StatusCode.UNAVAILABLE), r"does not say whether it asks for its token \(UNAVAILABLE"),
    ):
        monkeypatch.setattr(grpc, "insecure_channel", lambda where, answer=answer: Answer(answer))
        with pytest.raises(InputError, match=message):
            place._check_token()
    refusal = Says(grpc.StatusCode.UNAUTHENTICATED)
    monkeypatch.setattr(grpc, "insecure_channel", lambda where: Answer(refusal))
    place._check_token()


def test_workers_too_large_for_every_machine_are_said(caplog):
    place = Ray("")
    machines = [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    place._ray = SimpleNamespace(nodes=lambda: machines)
    place._say_lacking({"num_cpus": 2, "num_gpus": 0})
    assert not caplog.messages
    place._say_lacking({"num_cpus": 3, "num_gpus": 1})
    assert "no machine of the cluster has the 3 CPUs and 1 GPUs that each worker asks for" in caplog.text


class Far(Ray):
    """Ray whose one node sees nothing of the run's folder: that is away while a task runs."""

    def __init__(self, run: Path, text: str = "disk=none", *, lost: int = 0) -> None:
        super().__init__(text)
        self.run, self.lost, self.done = run, lost, dict[int, Any]()
        errors = SimpleNamespace(TaskCancelledError=KeyboardInterrupt, RayError=RuntimeError)
        self._ray = SimpleNamespace(
            wait=lambda refs, num_returns, timeout: (list(refs), []), get=self._get, exceptions=errors
        )
        self._start = SimpleNamespace(remote=self._remote)

    def open(self, *, gpus: bool, threads: int) -> None: ...

    def _remote(self, task: Any, path: list[str]) -> int:
        away = self.run.rename(self.run.with_name("away"))
        try:
            self.lost -= 1
            there = executor._worker(apart=True)
            self.done[len(self.done)] = None if self.lost >= 0 else there(task, path)
        finally:
            away.rename(self.run)
        return len(self.done) - 1

    def _get(self, ref: int) -> Any:
        if self.done[ref] is None:
            raise RuntimeError("the node died")
        return self.done[ref]


def test_without_a_shared_disk_files_go_there_and_come_back(call, own_folder, finished, monkeypatch):
    far = Far(own_folder / "run", lost=1)
    monkeypatch.setattr("autola.commands.retrain.executor_of", lambda on, jobs: far)
    told = call(f"retrain none hoga {RETRAIN} --out run --on ray:disk=none")
    assert told.code == 0, told.err
    assert records(own_folder / "run") == records(finished[1])
    assert len(far.done) == 3, "one was lost with its machine, and done again"
    assert "a worker has ended (RuntimeError: the node died)" in told.err
    assert told.err.count("-seed0: test accuracy") == 2
    log = own_folder / "run/none-seed0/work/log.txt"
    assert "test accuracy" in log.read_text()


def test_what_fails_far_away_is_set_aside_with_its_log(call, own_folder, monkeypatch):
    monkeypatch.setattr("autola.commands.retrain.executor_of", lambda on, jobs: Far(own_folder / "run"))

    def fail(job: Any) -> None:
        raise InputError("the loss is not finite")

    monkeypatch.setattr("evaluators.train.Training.advance", fail)
    told = call(f"retrain none {RETRAIN} --out run --on ray:disk=none")
    assert told.code == 2
    assert "the loss is not finite" in told.err
    assert "failed: the loss is not finite" in (own_folder / "run/none-seed0/work/log.txt").read_text()


def test_what_comes_back_stays_in_its_folder(tmp_path):
    worklist = made(tmp_path, 1)
    lease = worklist.take()
    assert lease is not None
    parcel = Parcel(lease, worklist, "me")
    with pytest.raises(InputError, match="leads out of it"):
        parcel.arrived({"none-seed0/../other/result.json": b"{}"})
    assert not (tmp_path / "other").exists()
    assert [seen.state for seen in worklist.all()] == ["waiting"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_is_killed_loses_nothing(ray, call, own_folder, monkeypatch):
    """24 trainings on two nodes; one is killed with -9 in the middle, and so are its workers."""
    cluster_of: Any = importlib.import_module("ray.cluster_utils").Cluster

    seeds = " ".join(map(str, range(12)))
    command = f"retrain none se {SMALL} --train.epochs 20 --seeds {seeds}"
    assert call(command, "--out whole").code == 0
    cluster = cluster_of(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    lost = cluster.add_node(num_cpus=1)
    killed = list[str]()

    def kill() -> None:
        path = own_folder / "run"
        while not killed:
            time.sleep(0.1)
            seen = list(WorkList(path).all()) if (path / "work.json").is_file() else []
            running = {
                each.attempt.process: each for each in seen if each.state == "running" and each.attempt
            }
            if sum(each.state == "done" for each in seen) >= 6 and len(running) == 2:
                import psutil

                raylet = lost.all_processes["raylet"][0].process.pid
                workers = {process.pid for process in psutil.Process(raylet).children(recursive=True)}
                for number in workers & running.keys():
                    killed.append(running[number].name)
                if killed:
                    for number in (raylet, *workers):
                        os.kill(number, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        told = call(command, "--out run --on ray")
        assert told.code == 0, told.err
    finally:
        killed.append("")
        thread.join()
        ray.shutdown()
        cluster.shutdown()
    names = killed[:-1]
    assert len(names) == 1, "nobody was killed in the middle of an item"
    attempts = {path.name: len(list(path.glob("work/lease-*"))) for path in Path("run").glob("*-seed*")}
    assert len(attempts) == 24
    assert {name for name, number in attempts.items() if number > 1} == set(names)
    assert records(own_folder / "run") == records(own_folder / "whole")
