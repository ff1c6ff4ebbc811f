"""Has the items of a list done: in this process, or by workers that an executor starts."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autola.cli import import_modules
from autola.executors import Executor
from autola.stopping import asked, polite
from autola.working.doing import Doer
from autola.working.lease import LOG, WORK, Lease
from autola.working.making import versions
from autola.working.progress import where
from autola.working.settings import Settings
from autola.working.worker import carry_out, check_here
from autola.working.worklist import LIST, Listed, Seen, WorkList, epochs_of, read_item
from foundation.errors import InputError, listed
from outputs.records import ENVIRONMENT, Records

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""Time between two looks at the folder; more where a look takes long."""

LOOK_SHARE = 20
"""The time between two looks is at least so many times as long as a look."""

MOST_DEATHS = 3
"""Workers in a row that may end before they take anything up."""


def do_work(
    worklist: WorkList, executor: Executor | None, settings: Settings, *, until: float = math.inf
) -> None:
    """Has the items of a list done, as far as they can be, here or by workers.

    Args:
        worklist: The items.
        executor: What starts workers; None to do them in this process.
        settings: What reads the data here, with device and processes.
        until: Nothing is begun when time.monotonic() is past that.
    """
    if executor is None:
        do_here(worklist, Doer(settings), until=until)
    else:
        gpus = settings.fabric.device.type == "cuda"
        do_by(executor, worklist, until=until, gpus=gpus, threads=torch.get_num_threads())


def do_here(worklist: WorkList, doer: Doer, *, until: float = math.inf) -> None:
    """Does the items that wait in this process, and waits for those that others do.

    Args:
        worklist: The items.
        doer: What does them, with device and processes; several processes do each item together.
        until: Nothing is begun when time.monotonic() is past that.

    Raises:
        InputError: If the disk is full or the folder of an item is locked; an item that fails is set aside.
        KeyboardInterrupt: If somebody asked to stop.
    """
    if doer.fabric is not None and doer.fabric.world_size > 1:
        for name in worklist.names:
            if time.monotonic() > until:
                return
            doer.do(worklist.whole / name)
        return
    said = False
    with polite():
        while time.monotonic() < until:
            if asked():
                raise KeyboardInterrupt
            lease = worklist.take()
            if lease is not None:
                carry_out(lease, doer, worklist, here=True)
                continue
            running = [seen for seen in worklist.open() if seen.state == "running"]
            if not running:
                return
            if not said:
                log.info("waiting for %s", listed([f"{seen.name} ({where(seen)})" for seen in running]))
            said = True
            time.sleep(LOOK_SECONDS)


def do_by(
    executor: Executor, worklist: WorkList, *, until: float = math.inf, gpus: bool, threads: int
) -> None:
    """Has the items done by workers; what they log is logged here, and a bar shows how far they are.

    Args:
        executor: What starts workers.
        worklist: The items.
        until: Nothing is begun when time.monotonic() is past that.
        gpus: Whether they train on GPUs.
        threads: CPU threads of each.

    Raises:
        InputError: If workers cannot work there.
        KeyboardInterrupt: If somebody asked to stop; what ran has written a checkpoint.
    """
    todo = sum(seen.state != "aside" for seen in worklist.open())
    if not todo:
        return
    executor.open(gpus=gpus, threads=threads)
    log.info("%d to do, %d side by side %s", todo, min(executor.most, todo), executor.where)
    driver = f"{platform.node()}:{os.getpid()}:{token_hex(4)}"
    following = _Following(worklist)
    try:
        with polite(say=_say_stopping), _bar(worklist) as (bar, task):
            _Driving(executor, worklist, driver, until, following, bar, task).run()
    finally:
        executor.close()
        following.look(())


def work_on_list(whole: Path, executor: Executor | None, minutes: float | None) -> None:
    """Does what waits in a run that somebody else conducts, or nobody.

    Args:
        whole: Folder of the run.
        executor: What starts workers; None to work in this process.
        minutes: Nothing begins after so many; None for no limit.

    Raises:
        InputError: If it cannot be done here.
    """
    worklist = WorkList(whole)
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    import_modules(worklist.listed.modules)
    check_here(worklist.listed)
    if executor is None:
        do_here(worklist, Doer(), until=until)
        return
    names = worklist.names
    threads = Records(whole / names[0]).keys(ENVIRONMENT).get("num_threads", 1) if names else 1
    do_by(executor, worklist, until=until, gpus=torch.cuda.is_available(), threads=threads)


def work_on_item(folder: Path) -> None:
    """Does one item, or goes on with it; first looks whether its owner lives, if it has one.

    Raises:
        InputError: If it is no item, somebody does it, or it fails.
    """
    whole, item = folder.absolute().parent, read_item(folder)
    listed_ = None
    if not (whole / LIST).is_file():  # it was taken out of its run
        listed_ = Listed(command="work", items=(folder.name,), epochs=1, versions=versions(), processor="")
    worklist = WorkList(whole, listed_)
    import_modules(item.modules)
    if listed_ is None:
        check_here(worklist.listed)
    seen = worklist.seen(folder.name)
    if seen.state == "done":
        log.info("%s is complete", folder)
        return
    first = seen.attempt
    while seen.state == "running":
        if seen.attempt is not None and first is not None and seen.attempt.beat != first.beat:
            raise InputError(f"{folder} is being done by {where(seen)}; stop that first, or wait for it")
        first = first or seen.attempt
        time.sleep(LOOK_SECONDS)
        seen = worklist.seen(folder.name)
    lease = Lease.take(folder, seen.number + 1, began=epochs_of(folder))
    if lease is None:
        raise InputError(f"{folder} was taken up by another process at this moment")
    with polite():
        carry_out(lease, Doer(), worklist, here=True)
    if lease.attempt.state == "failed":
        raise InputError(lease.attempt.why)


class _Driving:
    """One driver's work with a list."""

    def __init__(
        self,
        executor: Executor,
        worklist: WorkList,
        driver: str,
        until: float,
        following: _Following,
        bar: Progress,
        task: Any,
    ) -> None:
        self.executor, self.worklist, self.driver, self.until = executor, worklist, driver, until
        self.following, self.bar, self.task = following, bar, task
        self.ours = set[tuple[str, int]]()
        self.deaths = self.known = 0

    def run(self) -> None:
        stopping = False
        while True:
            began = time.monotonic()
            seen = list(self.worklist.open(untouched=self.executor.most + 1))
            self._follow(seen)
            self._ended(stopping)
            alive = self.executor.alive()
            if asked() and not stopping:
                self.executor.stop()
                stopping = True
            if stopping and not alive:
                raise KeyboardInterrupt
            waiting = sum(each.state == "waiting" for each in seen)
            running = [each for each in seen if each.state == "running"]
            late = began > self.until
            if not alive and (late or not waiting) and (late or not running):
                return
            if not stopping and not late:
                self._start(waiting + sum(self._is_ours(each) for each in running) - alive, alive)
            time.sleep(max(LOOK_SECONDS, min(10.0, LOOK_SHARE * (time.monotonic() - began))))

    def _start(self, lacking: int, alive: int) -> None:
        left = None if math.isinf(self.until) else self.until - time.monotonic()
        for number in range(min(lacking, self.executor.most - alive)):
            keys = {"whole": str(self.worklist.whole), "driver": self.driver, "seconds": left}
            self.executor.start(json.dumps({**keys, "skip": alive + number}))

    def _follow(self, seen: Sequence[Seen]) -> None:
        self.ours.update((each.name, each.number) for each in seen if self._is_ours(each))
        self.following.look(seen, self.bar)
        epochs = self.worklist.listed.epochs
        done = self.worklist.done * epochs + sum(each.attempt.epoch for each in seen if each.attempt)
        self.bar.update(self.task, completed=done, refresh=True)

    def _is_ours(self, seen: Seen) -> bool:
        return seen.attempt is not None and seen.attempt.driver == self.driver

    def _ended(self, stopping: bool) -> None:
        for ended in self.executor.ended():
            if ended.refused:
                raise InputError(ended.refused)
            if stopping:
                continue
            progress = len(self.ours) + self.worklist.done
            self.deaths = 1 if progress > self.known else self.deaths + 1
            self.known = progress
            if self.deaths >= MOST_DEATHS:
                raise InputError(f"workers end before they take anything up ({ended.why})")
            log.warning("a worker has ended (%s); what it did goes on in another", ended.why)


class _Following:
    """Logs here what workers write into the logs of items."""

    def __init__(self, worklist: WorkList) -> None:
        self._worklist = worklist
        self._read = dict[str, int]()
        for seen in worklist.open():
            path = self._path(seen.name)
            if seen.number >= 0 and path.is_file():
                self._read[seen.name] = path.stat().st_size
        worklist.news()

    def look(self, seen: Sequence[Seen], bar: Progress | None = None) -> None:
        """Logs what is new of some items, and of those that have ended since."""
        lines = list[str]()
        for name in (*(each.name for each in seen if each.number >= 0), *self._worklist.news()):
            lines += self._new(name)
        if lines and bar is not None:
            bar.stop()  # else the line would begin behind the bar
        for line in lines:
            log.info("%s", line)
        if lines and bar is not None:
            bar.start()

    def _new(self, name: str) -> list[str]:
        try:
            with self._path(name).open("rb") as file:
                file.seek(self._read.get(name, 0))
                content = file.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read[name] = self._read.get(name, 0) + len(whole)
        lines = whole.decode("utf-8", errors="replace").splitlines()
        return [line for line in lines if not line.startswith("| ")]  # not the tracebacks

    def _path(self, name: str) -> Path:
        return self._worklist.whole / name / WORK / LOG


def _say_stopping() -> None:
    sys.stderr.write("stopping: what runs writes a checkpoint; Ctrl-C again ends it at once\n")


@contextmanager
def _bar(worklist: WorkList) -> Iterator[tuple[Progress, Any]]:
    """One bar for the epochs of all items, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = len(worklist.names) * worklist.listed.epochs
    # Drawn at every look, and not by a thread, beside which workers could not be forks of this process.
    drawn: Any = {"disable": not console.is_terminal, "transient": True, "auto_refresh": False}
    with Progress(*columns, console=console, **drawn) as bar:
        yield bar, bar.add_task("epochs", total=total)
