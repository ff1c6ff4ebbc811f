"""Leases and lists of work: each item once, whoever dies, whatever the clocks say."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autola.working import lease as leases
from autola.working.attempt import WORK, numbers, read_lease
from autola.working.items import Item, Listed, write_item, write_list
from autola.working.lease import Lease
from autola.working.owners import Watch
from autola.working.progress import status_of
from autola.working.worklist import MOST_FAILURES, WorkList
from foundation.errors import InputError, NoSpaceError

ROOT = Path(__file__).parents[2]


def made(whole: Path, number: int, epochs: int = 2) -> WorkList:
    """A list of items that are folders and nothing else."""
    names = tuple(f"none-seed{seed}" for seed in range(number))
    for name in names:
        (whole / name).mkdir(parents=True)
        write_item(whole / name, Item())
    write_list(whole, Listed(command="retrain", items=names, epochs=epochs, versions={}, processor="any"))
    return WorkList(whole)


def end(lease: Lease) -> None:
    """Ends an item as a training does: its result first."""
    (lease.folder / "result.json").write_text('{"score": 0.5, "seconds": 3.0}')
    lease.end("done")


def elsewhere(lease: Lease) -> None:
    """Makes a lease one of a machine that nobody can look at."""
    path = lease.folder / WORK / f"lease-{lease.number}.json"
    keys = json.loads(path.read_text()) | {"host": "far", "machine": "another"}
    path.write_text(json.dumps(keys))


def test_an_item_is_taken_up_once_and_done_once(tmp_path):
    worklist = made(tmp_path, 2)
    first, second = worklist.take(), worklist.take()
    assert first is not None
    assert second is not None
    assert {first.folder.name, second.folder.name} == {"none-seed0", "none-seed1"}
    assert worklist.take() is None
    end(first)
    end(second)
    assert worklist.take() is None
    assert [seen.state for seen in worklist.all()] == ["done", "done"]


def test_an_owner_is_dead_once_its_heart_stands_still_whatever_its_clock_says(tmp_path, monkeypatch):
    worklist = made(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(leases.time, "time", lambda: time.monotonic() + 3600 * 24 * 365 * 90)  # far ahead
        lease = worklist.take()
    assert lease is not None
    elsewhere(lease)
    now = [1000.0]
    monkeypatch.setattr(leases.time, "monotonic", lambda: now[0])
    watch = WorkList(tmp_path, watch=Watch(60.0))
    assert watch.take() is None
    now[0] += 59.0
    assert watch.take() is None
    lease.beat()
    elsewhere(lease)
    now[0] += 59.0
    assert watch.take() is None, "it lived meanwhile"
    now[0] += 61.0
    other = watch.take()
    assert other is not None
    assert other.number == 1
    with pytest.raises(InputError, match="taken over"):
        lease.beat()
    assert lease.lost.is_set()


def test_a_process_of_this_machine_that_has_ended_is_seen_at_once(tmp_path):
    made(tmp_path, 1)
    code = f"""
import os, sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from autola.working.worklist import WorkList
assert WorkList(Path({str(tmp_path)!r})).take() is not None
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert numbers(tmp_path / "none-seed0") == [0]
    other = WorkList(tmp_path).take()
    assert other is not None
    assert other.number == 1


def test_a_lease_that_was_never_written_whole_goes_stale(tmp_path, monkeypatch):
    worklist = made(tmp_path, 1)
    (tmp_path / "none-seed0" / WORK / "lease-0.json").touch()  # as a full disk leaves it
    now = [0.0]
    monkeypatch.setattr(leases.time, "monotonic", lambda: now[0])
    assert worklist.take() is None
    now[0] += leases.LEASE_SECONDS
    lease = worklist.take()
    assert lease is not None
    assert lease.number == 1


def test_failures_set_an_item_aside_and_the_others_go_on(tmp_path):
    worklist = made(tmp_path, 2)
    order = list[str]()
    while (lease := worklist.take()) is not None:
        order.append(lease.folder.name)
        if lease.folder.name == "none-seed0":
            lease.end("failed", "a loss\nthat is not finite")
        else:
            end(lease)
    assert order == ["none-seed0", "none-seed1", *["none-seed0"] * (MOST_FAILURES - 1)]
    status = status_of(worklist)
    assert (status.done, status.waiting, len(status.aside)) == (1, 0, 1)
    assert status.aside[0].why == "a loss that is not finite"
    worklist.forgive()
    assert worklist.take() is not None


def test_who_is_killed_again_and_again_before_an_epoch_is_set_aside_and_who_went_on_is_not(tmp_path):
    worklist = made(tmp_path, 2)
    for turn in range(MOST_FAILURES):
        for number in (0, 1):
            lease = Lease.take(tmp_path / f"none-seed{number}", turn, began=turn)
            assert lease is not None
            if number:
                lease.reached(turn + 1, 1, "any")
            _die(lease)
    assert [seen.state for seen in worklist.all()] == ["aside", "waiting"]


def _die(lease: Lease) -> None:
    """Leaves a lease as a process that was killed does."""
    path = lease.folder / WORK / f"lease-{lease.number}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"started": "0"}))


def test_a_newer_autola_is_refused_by_name(tmp_path):
    worklist = made(tmp_path, 1)
    lease = worklist.take()
    assert lease is not None
    path = tmp_path / "none-seed0" / WORK / "lease-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2, "more": 1}))
    with pytest.raises(InputError, match=r"lease-0.json is of a newer autola \(format 2"):
        WorkList(tmp_path).take()
    (tmp_path / "work.json").write_text('{"format": 3}')
    with pytest.raises(InputError, match=r"work.json is of a newer autola"):
        WorkList(tmp_path)
    with pytest.raises(InputError, match=r"work.json is of a newer autola"):
        write_list(tmp_path, worklist.listed)
    (tmp_path / "work.json").write_text('{"format": 1, "it')
    write_list(tmp_path, worklist.listed)
    assert WorkList(tmp_path).listed == worklist.listed


def test_a_full_disk_takes_nothing_up_and_stops_no_heart(tmp_path, monkeypatch):
    worklist = made(tmp_path, 2)
    lease = worklist.take()
    assert lease is not None
    size = (lease.folder / WORK / "lease-0.json").stat().st_size

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(leases.os, "open", full)
        with pytest.raises(NoSpaceError):
            worklist.take()
    lease.reached(1, 1, "any")
    assert (lease.folder / WORK / "lease-0.json").stat().st_size == size, "in bytes that are there"
    assert read_lease(lease.folder, 0)[1] == lease.attempt


def test_a_lease_that_cannot_be_written_leaves_the_item_to_whoever_has_space(tmp_path, monkeypatch):
    worklist = made(tmp_path, 1)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(leases.os, "fsync", full)
        with pytest.raises(NoSpaceError):
            worklist.take()
    lease = worklist.take()
    assert lease is not None
    assert lease.number == 0


def test_workers_that_begin_together_leave_each_other_the_first_items(tmp_path):
    worklist = made(tmp_path, 3)
    taken = [worklist.take(skip=skip) for skip in (2, 0, 5)]
    assert [lease and lease.folder.name for lease in taken] == ["none-seed2", "none-seed0", "none-seed1"]


def test_time_left_is_what_alike_items_took(tmp_path):
    worklist = made(tmp_path, 4)
    first = worklist.take()
    assert first is not None
    assert status_of(worklist).seconds_left is None
    end(first)
    for _ in range(2):
        lease = worklist.take()
        assert lease is not None
        lease.reached(1, 1, "any")
    assert status_of(worklist).seconds_left == pytest.approx((1.5 + 1.5 + 3) / 2)


def _work(whole: str, log: str, seed: int) -> None:
    """Stands for a driver: does items in no time, and is killed now and then in the middle of one."""
    rng, worklist = random.Random(seed), WorkList(Path(whole))
    while any(seen.state != "done" for seen in worklist.all()):
        lease = worklist.take()
        if lease is None:
            time.sleep(0.005)
            continue
        lease.reached(lease.attempt.began + 1, 1, "any")
        if rng.random() < 0.2:
            os.kill(os.getpid(), signal.SIGKILL)
        with open(log, "a") as file:
            file.write(f"{lease.folder.name}\n")  # one write: whole
        end(lease)


def drivers_with_kills(whole: Path, items: int, seed: int) -> list[str]:
    """What two drivers do of a list, each killed at random and started again: names of items."""
    made(whole, items)
    context, log = multiprocessing.get_context("fork"), whole / "log"
    log.touch()
    rng, running = random.Random(seed), list[Any]()
    while True:
        running = [each for each in running if each.exitcode is None]
        if all((whole / f"none-seed{number}" / "result.json").exists() for number in range(items)):
            break
        if len(running) < 2:
            running.append(context.Process(target=_work, args=(str(whole), str(log), rng.getrandbits(32))))
            running[-1].start()
        time.sleep(0.002)
    for each in running:
        each.join()
    return log.read_text().split()


@pytest.mark.parametrize("seed", range(3))
def test_two_drivers_that_are_killed_do_each_item_once(tmp_path, seed):
    done = drivers_with_kills(tmp_path, 30, seed)
    assert sorted(done) == sorted({f"none-seed{number}" for number in range(30)})
    attempts = [len(numbers(tmp_path / name)) for name in done]
    assert max(attempts) > 1, "nobody was killed in the middle of an item"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_hundred_items_and_twenty_repetitions(tmp_path, seed):
    done = drivers_with_kills(tmp_path, 100, seed)
    assert sorted(done) == sorted({f"none-seed{number}" for number in range(100)})
