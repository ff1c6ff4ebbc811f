"""Trainings side by side, each in a process of its own on this machine, which gets its work from this one."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from subprocess import PIPE, Popen
from threading import Thread
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autola.configs import DeviceConfig
from autola.group import misfit
from autola.runtime import started_processes
from foundation.errors import InputError, shown

log = logging.getLogger(__name__)

MOST_JOBS = 64
"""Trainings side by side: beyond any machine of today."""

_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that make rich draw bars where there is no terminal: the bar is this process's."""


def check_jobs(jobs: int, config: DeviceConfig) -> None:
    """Checks that trainings can run side by side.

    Raises:
        InputError: If the number is out of range, or a training is to use several devices itself.
    """
    if not isinstance(jobs, int) or not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"jobs is {shown(jobs)}; give a number from 1 to {MOST_JOBS}")
    if jobs > 1 and misfit() is None:
        each, machines = config.devices, config.machines
        if (each, machines) == (1, 1):
            each, machines = started_processes(1, 1)
        if each * machines > 1:
            raise InputError(
                f"--jobs {jobs} gives every training one process, and {each * machines} processes share "
                "each training here; choose --jobs, or several devices (--devices, torchrun, Slurm)"
            )


class Named(Protocol):
    """A search or training that is a part of a run."""

    @property
    def name(self) -> str:
        """Its folder."""
        ...


def train_in_workers(
    run: Path,
    members: Sequence[Named],
    epochs: int,
    jobs: int,
    modules: Sequence[str],
    *,
    gpus: bool,
    command: str = "retrain",
    until: float = math.inf,
) -> None:
    """Does parts of a run whose folders exist; results, records and weights are left there.

    Args:
        run: The folder of the whole run, locked by this process.
        members: What is to be done.
        epochs: Epochs of each, for the progress bar.
        jobs: Processes at a time.
        modules: Modules of the user's that they import first.
        gpus: Whether they train on GPUs, which they then take in turn.
        command: What goes on with the run, for messages.
        until: Nothing is begun when time.monotonic() is past that.

    Raises:
        InputError: If a training fails or its process ends; the others are stopped, checkpoints stay.
    """
    said = SimpleQueue[tuple[int, dict[str, Any] | None]]()
    waiting, busy = _in_time(members, until), dict[int, Named]()
    with _started(run, jobs, modules, said, gpus=gpus) as workers, _bar(len(members) * epochs) as (bar, task):
        for number, worker in enumerate(workers):
            _hand_out(number, worker, waiting, busy)
        reached = dict[str, int]()
        while busy:
            number, message = said.get()
            if number not in busy:
                continue
            name = busy[number].name
            match message:
                case None:
                    code = workers[number].wait()
                    raise InputError(
                        f"{name}: the process that trained it has ended ({_why(code)}); "
                        f"autola {command} --resume {run} goes on"
                    )
                case {"error": text}:
                    raise InputError(text)
                case {"log": text, "level": level}:
                    bar.stop()  # else the line would begin behind the bar
                    log.log(level, "%s", text)
                    bar.start()
                case {"epoch": epoch}:
                    reached[name] = epoch
                case _:
                    reached[name] = epochs
                    del busy[number]
                    _hand_out(number, workers[number], waiting, busy)
            bar.update(task, completed=sum(reached.values()))


def _in_time(members: Sequence[Named], until: float) -> Iterator[Named]:
    for member in members:
        if time.monotonic() > until:
            return
        yield member


def _hand_out(number: int, worker: Popen[str], waiting: Iterator[Named], busy: dict[int, Named]) -> None:
    member = next(waiting, None)
    if member is None:
        return
    busy[number] = member
    assert worker.stdin is not None
    with suppress(OSError):  # it has ended, which its output shows
        worker.stdin.write(f"{member.name}\n")
        worker.stdin.flush()


def _why(code: int) -> str:
    return f"signal {-code}: killed, or short of memory" if code < 0 else f"exit code {code}"


@contextmanager
def _started(
    run: Path,
    jobs: int,
    modules: Sequence[str],
    said: SimpleQueue[tuple[int, dict[str, Any] | None]],
    *,
    gpus: bool,
) -> Iterator[list[Popen[str]]]:
    """Worker processes, which end with the block whatever happens."""
    path = [str(entry) for entry in sys.path]  # no other way finds a source tree, and hides no module
    source = Path(__file__).parents[1]
    code = (
        f"import sys; sys.path[:] = {[*path, str(source)]!r}; "
        f"from autola.worker import main; main({str(run)!r}, {list(modules)!r})"
    )
    workers: list[Popen[str]] = []
    threads: list[Thread] = []
    try:
        for number in range(jobs):
            worker = Popen(
                [sys.executable, "-c", code],
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                encoding="utf-8",
                errors="replace",
                env=_environment(number, gpus=gpus),
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
            workers.append(worker)
            threads.append(Thread(target=_listen, args=(number, worker, said), daemon=True))
            threads.append(Thread(target=_pass_on, args=(worker,), daemon=True))
            for thread in threads[-2:]:
                thread.start()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
            assert worker.stdin is not None
            with suppress(OSError):  # what it did not read any more
                worker.stdin.close()
        for thread in threads:
            thread.join()


def _environment(number: int, *, gpus: bool) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name not in _TERMINAL}
    known["PYTHONIOENCODING"] = "utf-8"
    if gpus:
        given = known.get("CUDA_VISIBLE_DEVICES")
        devices = given.split(",") if given else [str(each) for each in range(torch.cuda.device_count())]
        known["CUDA_VISIBLE_DEVICES"] = devices[number % min(len(devices), torch.cuda.device_count())]
    return known


def _listen(number: int, worker: Popen[str], said: SimpleQueue[tuple[int, dict[str, Any] | None]]) -> None:
    """Puts what a worker says into the queue, and None at its end."""
    assert worker.stdout is not None
    with worker.stdout, suppress(json.JSONDecodeError):  # a line is cut short if it was killed
        for line in worker.stdout:
            said.put((number, json.loads(line)))
    said.put((number, None))


def _pass_on(worker: Popen[str]) -> None:
    """Shows what a worker writes to its standard error: warnings, a traceback."""
    assert worker.stderr is not None
    with worker.stderr:
        for line in worker.stderr:
            sys.stderr.write(line)


@contextmanager
def _bar(total: int) -> Iterator[tuple[Progress, Any]]:
    """One bar for the epochs of all trainings, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield bar, bar.add_task("epochs", total=total)
