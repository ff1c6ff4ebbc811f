"""Trainings by workers: the same to the bit as one after another, whoever dies, fails or is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import autola
from autola import stopping
from autola.executors import Ended, here
from autola.working import driver, owners, processes, worker
from autola.working.doing import Doer, NotHereError
from autola.working.driving import MOST_DEATHS
from autola.working.owners import Watch
from autola.working.worker import Task, carry_out, work
from autola.working.worklist import WorkList
from evaluators.train import Training
from foundation.config import parse_json, to_json
from foundation.errors import InputError, NoSpaceError
from outputs.run_directory import LockedError, RunDirectory
from search_space.operator import OPERATORS
from tests.autola.runs import RETRAIN, records, stop_at
from tests.autola.test_work_list import elsewhere, end, made

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_jobs_side_by_side_end_the_same_to_the_bit(call, own_folder, finished):
    told = call(f"retrain none hoga {RETRAIN} --out run --jobs 2")
    assert told.code == 0
    assert "2 side by side" in told.err
    assert told.err.count("-seed0: test accuracy") == 2
    assert records(own_folder / "run") == records(finished[1])


def test_what_no_process_can_train_is_not_begun(call, trained, monkeypatch):
    monkeypatch.setattr(processes, "Process", lambda *given, **more: pytest.fail("nothing is left"))
    (trained / "table.json").unlink()
    told = call(f"retrain --resume {trained} --jobs 2")
    assert told.code == 0
    assert "test accuracy" in told.out


@pytest.mark.parametrize("jobs", ["0", "65", "-1"])
def test_a_number_of_jobs_beyond_reason_is_refused(refused, jobs):
    assert f"jobs is {jobs}; give a number from 1 to 64" in refused(f"retrain none --jobs {jobs} --out run")


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("hear:2", "unknown place to run 'hear'; did you mean here?"),
        ("here:0", "--on here:0: give a number of processes from 1 to 64"),
        ("here:two", "--on here:two: give a number of processes"),
        ("here:2 --jobs 2", "--jobs 2 is short for --on here:2, and --on says here:2; leave one out"),
        ("ray://nowhere", "--on ray://nowhere: give an address as ray://HOST:PORT"),
        ("ray:cores=2", "--on ray: cannot read 'cores=2'; options are cpus, gpus, workers"),
        ("slurm:time=an-hour", "--on slurm: time is 'an-hour'; give a number from 1"),
        ("slurm:time=1", "time is 1 minutes, and a job stops 90 seconds before its end; give at least 4"),
        ("slurm:cluster=mine", "--on slurm: cluster is 'mine'; give slurm, local"),
    ],
)
def test_a_place_that_is_none_is_refused(refused, on, message):
    assert message in refused(f"retrain none --out run --on {on}")


def test_one_search_has_nothing_for_workers(refused):
    assert "this is one search" in refused("search digits --on here:2 --out run")


def test_jobs_and_several_devices_for_each_are_refused(refused):
    assert "several devices" in refused("retrain none se --jobs 2 --devices 2 --out run")


def test_jobs_are_refused_in_a_group_of_processes(refused, monkeypatch):
    for name, value in (("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_NTASKS_PER_NODE", "2")):
        monkeypatch.setenv(name, value)
    assert "2 processes share each training" in refused("retrain none se --jobs 2 --out run")


def test_what_a_script_registered_itself_is_refused(own_folder):
    recipe = OPERATORS["squeeze_excite" if "squeeze_excite" in OPERATORS else "se"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPERATORS._entries, "mine", recipe)
        patch.setitem(OPERATORS._homes, "mine", "__main__")
        with pytest.raises(InputError, match="--jobs cannot import"):
            autola.retrain("none", "mine", jobs=2, out=own_folder / "run")
    assert not (own_folder / "run").exists()


def test_gpus_are_taken_in_turn(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    taken = [here.environment_of(place, gpus=True)["CUDA_VISIBLE_DEVICES"] for place in range(3)]
    assert taken == ["3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert here.environment_of(3, gpus=True)["CUDA_VISIBLE_DEVICES"] == "1"


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


def test_ctrl_c_asks_first_and_ends_at_the_second(tmp_path):
    worklist, executor = made(tmp_path, 2), Threads(1)

    def act(lease: Any) -> Ended:
        os.kill(os.getpid(), signal.SIGINT)
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
        signal.raise_signal(signal.SIGINT)
        assert stopping.asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
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


def test_what_fails_is_set_aside_and_the_table_says_so(call, own_folder, finished):
    real = Training.advance

    def advance(job: Training) -> None:
        if any("attention" in name for name, _ in job.task.model.named_modules()):
            raise InputError("the loss is not finite")
        real(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "advance", advance)
        told = call(f"retrain none hoga {RETRAIN} --out run")
    assert told.code == 1
    assert "missing hoga-seed0, set aside: the loss is not finite" in told.out
    assert [line.split()[0] for line in told.out.splitlines()][1:2] == ["none"]
    assert call("status run").out.splitlines()[1].startswith("set aside  hoga-seed0: the loss is not finite")
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])


def test_ctrl_c_writes_a_checkpoint_of_the_very_step(call, own_folder, finished):
    real = Training.advance

    def advance(job: Training) -> None:
        real(job)
        if job.step == 2:  # of 3 an epoch
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "advance", advance)
        told = call(f"retrain none hoga {RETRAIN} --out run")
    assert told.code == 130
    assert "what was recorded is kept" in told.err
    assert [path.name for path in (own_folder / "run/none-seed0/checkpoints").iterdir()] == [
        "step-000000002.pt"
    ]
    told = call("retrain --resume run")
    assert "none-seed0: going on at step 2 of 6" in told.err
    assert records(own_folder / "run") == records(finished[1])


def test_others_help_with_a_run_and_with_one_training_of_it(call, refused, own_folder, finished):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 4, KeyboardInterrupt())
        assert call(f"retrain none hoga {RETRAIN} --out run").code == 130
    known = json.loads(call("status run --json").out)
    assert (known["items"], known["done"], known["waiting"], known["running"]) == (2, 0, 2, [])
    told = call("work run/none-seed0")
    assert told.code == 0, told.err
    assert "going on at step 3 of 6" in told.err
    told = call("work run")
    assert told.code == 0, told.err
    assert told.out == "2 of 2 done; autola retrain --resume run concludes\n"
    assert "none-seed0" not in told.err
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])
    assert call("status run").out.startswith("run  2 items: 2 done, 0 running, 0 waiting, 0 set aside\n")


def test_an_item_that_was_taken_out_of_its_run_says_all(call, own_folder, finished):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 0, KeyboardInterrupt())
        assert call(f"retrain none hoga {RETRAIN} --out run").code == 130
    shutil.copytree(own_folder / "run/hoga-seed0", own_folder / "alone")
    assert call("work alone").code == 0
    assert records(own_folder / "alone") == records(finished[1] / "hoga-seed0")


def test_a_machine_with_other_versions_is_refused_before_it_does_anything(call, refused, own_folder, trained):
    shutil.rmtree(trained / "hoga-seed0" / "work")
    path = trained / "work.json"
    listed = json.loads(path.read_text())
    path.write_text(json.dumps(listed | {"versions": {**listed["versions"], "torch": "1.0"}}))
    line = refused(f"work {trained}")
    assert line.startswith("autola: torch 2.")
    assert ", not 1.0: give all machines the versions" in line


def test_folders_without_work_are_refused(refused, found, own_folder):
    assert "has no list of work" in refused(f"work {found}")
    assert "has no list of work" in refused("status nowhere")
    (own_folder / "run/none-seed0/work").mkdir(parents=True)
    (own_folder / "run/none-seed0/work/item.json").write_text("{}")
    assert f"is one item of a list; name the run: {own_folder / 'run'}" in refused("status run/none-seed0")
    assert "one item is done by one process to its end" in refused("work run/none-seed0 --minutes 5")
    assert "one item is done by one process to its end" in refused("work run/none-seed0 --jobs 2")
    assert "--seconds goes with --watch" in refused("status run --seconds 5")
    assert "name the folder of a run" in refused("work")


def unlocked(folder: Path, seconds: float) -> None:
    """Waits until nobody has a run folder locked."""
    until = time.monotonic() + seconds
    while True:
        try:
            RunDirectory(folder).lock().unlock()
            return
        except LockedError:
            assert time.monotonic() < until, f"somebody still writes to {folder}"
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_process_that_started_it(own_folder, finished, number, code):
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    # Long, so that it is under way when it is stopped.
    command = f"retrain none hoga {RETRAIN} --train.epochs 100000 --out run --jobs 2"
    with subprocess.Popen([sys.executable, "-m", "autola", *command.split()], env=known) as process:
        metrics = [own_folder / "run" / f"{name}-seed0" / "metrics.jsonl" for name in ("none", "hoga")]
        while not all(path.exists() for path in metrics):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait() == code
    for path in metrics:
        unlocked(path.parent, seconds=30)  # nobody writes any more
    assert all(seen.state == "waiting" for seen in WorkList(own_folder / "run").all())
