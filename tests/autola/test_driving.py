"""One driver and its workers, which are threads here: who dies, waits, refuses or fails."""

from __future__ import annotations

import os
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autola import stopping
from autola.executors import Ended
from autola.working import driver, owners, worker
from autola.working.doing import Doer, NotHereError
from autola.working.driving import MOST_DEATHS
from autola.working.owners import Watch
from autola.working.worker import Task, carry_out, work
from autola.working.worklist import WorkList
from foundation.config import parse_json, to_json
from foundation.errors import InputError, NoSpaceError
from outputs.run_directory import LockedError
from tests.autola.test_work_list import elsewhere, end, made


class Threads:
    """An executor whose workers are threads that do items in no time, as a test says."""

    where, local = "in threads", True

    def __init__(self, most: int, act: Any = end) -> None:
        self.most, self.act = most, act
        self.running, self.over, self.said = list[Thread](), list[Ended](), list[str]()

    def open(self, *, gpus: bool, threads: int) -> None:
        self.said.append("open")

    def start(self, task: str) -> None:
        self.running.append(Thread(target=self._work, args=(parse_json(Task, task, "task"),)))
        self.running[-1].start()

    def _work(self, task: Task) -> None:
        worklist = WorkList(Path(task.whole), watch=Watch(known=task.dead))
        while (lease := worklist.take(driver=task.driver, skip=task.skip)) is not None:
            ended = self.act(lease)
            if ended is not None:
                self.over.append(ended)
                return

    def alive(self) -> int:
        return sum(each.is_alive() for each in self.running)

    def ended(self) -> list[Ended]:
        over, self.over = self.over, []
        return over

    def stop(self) -> None:
        self.said.append("stop")

    def close(self) -> None:
        self.said.append("close")


def drive(worklist: WorkList, executor: Threads) -> None:
    driver.do_by(executor, worklist, gpus=False, threads=1)


def test_every_item_is_done_once_and_what_workers_log_is_logged_here(tmp_path, caplog):
    worklist, done = made(tmp_path, 20), list[str]()

    def act(lease: Any) -> None:
        done.append(lease.folder.name)
        (lease.folder / "work" / "log.txt").write_text(f"{lease.folder.name}: well\n| not this\nnor th")
        end(lease)

    executor = Threads(3, act)
    caplog.set_level("INFO", logger="autola")
    drive(worklist, executor)
    assert sorted(done) == sorted(worklist.names)
    assert executor.said == ["open", "close"]
    assert sorted(line for line in caplog.messages if "well" in line) == sorted(
        f"{name}: well" for name in done
    )
    assert not [line for line in caplog.messages if "this" in line or "nor" in line]


def test_a_worker_that_ends_is_replaced_and_said(tmp_path, caplog):
    worklist, dead = made(tmp_path, 6), list[str]()

    def act(lease: Any) -> Ended | None:
        if lease.folder.name == "none-seed1" and not dead:
            dead.append(lease.folder.name)
            lease.reached(1, 1, "any")
            lease.end("released")
            return Ended(why="signal 9: killed, or short of memory")
        return end(lease)

    drive(worklist, Threads(2, act))
    assert [seen.state for seen in worklist.all()] == ["done"] * 6
    assert (
        "a worker has ended (signal 9: killed, or short of memory); what it did goes on in another"
        in caplog.text
    )


def test_workers_that_only_end_are_not_started_for_ever(tmp_path):
    executor = Threads(1)
    executor._work = lambda task: executor.over.append(Ended(why="exit code 1"))
    with pytest.raises(InputError, match=r"workers end before they take anything up \(exit code 1\)"):
        drive(made(tmp_path, 2), executor)
    assert len(executor.running) == MOST_DEATHS
    assert executor.said == ["open", "close"]


def test_whose_machine_was_lost_is_taken_over_by_workers_that_have_just_started(tmp_path, monkeypatch):
    items, executor = made(tmp_path, 2), Threads(1)
    lease = items.take()
    assert lease is not None
    elsewhere(lease)  # and nothing is heard of it any more
    monkeypatch.setattr(owners, "LEASE_SECONDS", 0.5)
    work_ = executor._work

    def work_few(task: Task) -> None:
        if len(executor.running) > 10:
            executor.over.append(Ended(refused="workers are started that find nothing to do"))
        work_(task)

    executor._work = work_few
    drive(items, executor)
    assert [seen.state for seen in items.all()] == ["done", "done"]


def test_a_worker_believes_whom_its_driver_found_dead_unless_a_heart_beats_again(tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "LEASE_SECONDS", 0.0)
    items = made(tmp_path, 1)
    lease = items.take()
    assert lease is not None
    elsewhere(lease)
    assert next(items.all()).state == "running", "it was not looked at before"
    (seen,) = items.all()
    assert seen.state == "waiting"
    assert seen.dead is not None
    monkeypatch.undo()
    monkeypatch.setattr(worker, "Doer", Fails)
    task = Task(whole=str(tmp_path), dead={seen.name: seen.dead})
    lease.beat()
    assert worker.main(to_json(task)) == ""
    assert [each.state for each in WorkList(tmp_path).all()] == ["running"]
    elsewhere(lease)
    content = (lease.folder / "work/lease-0.json").read_bytes()
    assert worker.main(to_json(replace(task, dead={seen.name: owners.mark_of(0, content)}))) == ""
    assert [each.state for each in WorkList(tmp_path).all()] == ["done"]


def test_a_worker_waits_for_a_folder_that_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr("autola.working.worklist.WAIT_SECONDS", 0.1)
    items = made(tmp_path, 1)
    work(items, Fails(LockedError("somebody has it")))
    assert [seen.state for seen in items.all()] == ["done"]
    assert len(list(tmp_path.glob("none-seed0/work/lease-*"))) == 2


def test_what_a_worker_refuses_is_the_line(tmp_path):
    executor = Threads(1)
    executor._work = lambda task: executor.over.append(Ended(refused="on far: torch 1.0, not 2.0"))
    with pytest.raises(InputError, match=r"^on far: torch 1.0, not 2.0$"):
        drive(made(tmp_path, 2), executor)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_ask_first_and_end_at_the_second(tmp_path, kind):
    worklist, executor = made(tmp_path, 2), Threads(1)

    def act(lease: Any) -> Ended:
        os.kill(os.getpid(), kind)
        while "stop" not in executor.said:
            time.sleep(0.01)
        lease.end("released")
        return Ended(why="it was asked to")

    executor.act = act
    with pytest.raises(KeyboardInterrupt):
        drive(worklist, executor)
    assert executor.said == ["open", "stop", "close"]
    assert [seen.state for seen in worklist.all()] == ["waiting", "waiting"]
    assert not stopping.asked()
    with stopping.polite():
        signal.raise_signal(kind)
        assert stopping.asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(kind)
    assert not stopping.asked()


class Fails(Doer):
    """Does nothing but raise."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def do(self, folder: Path, report: Any = None) -> None:
        if self.errors:
            raise self.errors.pop(0)
        (folder / "result.json").write_text("{}")


def test_a_full_disk_is_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(worker, "SPACE_SECONDS", 0.01)
    worklist = made(tmp_path, 1)
    work(worklist, Fails(*[NoSpaceError("no space left")] * 5))
    assert [seen.state for seen in worklist.all()] == ["done"]
    assert capsys.readouterr().err.count("a worker waits") == 5


def test_what_a_machine_cannot_do_is_no_failure_of_the_item(tmp_path):
    worklist = made(tmp_path, 1)
    for _ in range(5):
        with pytest.raises(NotHereError):
            work(worklist, Fails(NotHereError("no data at /data")))
    assert [seen.state for seen in worklist.all()] == ["waiting"]


@pytest.mark.parametrize(
    ("said", "error", "state"),
    [
        ('{"format": 1, "modulez": []}', None, "aside"),
        ('{"format": 1, "mod', None, "aside"),
        ('{"format": 9}', NotHereError, "waiting"),
    ],
)
def test_an_item_that_was_edited_is_set_aside_and_a_newer_one_is_left_to_others(tmp_path, said, error, state):
    items = made(tmp_path, 1)
    (tmp_path / "none-seed0/work/item.json").write_text(said)
    with pytest.raises(error) if error else nullcontext():
        work(items, Doer())
    assert [seen.state for seen in items.all()] == [state]


def test_an_error_that_is_ours_is_in_the_log_with_its_traceback(tmp_path):
    worklist = made(tmp_path, 1)
    lease = worklist.take()
    assert lease is not None
    carry_out(lease, Fails(RuntimeError("of shapes")), worklist)
    assert lease.attempt.why == "RuntimeError: of shapes"
    text = (lease.folder / "work" / "log.txt").read_text()
    assert "| RuntimeError: of shapes" in text
    assert "none-seed0 failed: RuntimeError: of shapes" in text
