"""Workers as processes of this machine, which share out its GPUs."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import TYPE_CHECKING

from autola.executors import EXECUTORS, MOST_WORKERS
from foundation.errors import InputError

if TYPE_CHECKING:
    from autola.working.worker import Ended

_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that make rich draw bars where there is no terminal: the bar is this process's."""

CODE = """
import sys
sys.path[:] = {path!r}
from autola.executors.here import worker
worker({task!r})
"""


class Here:
    """Processes of this machine.

    Args:
        text: How many.

    Raises:
        InputError: If that is no number.
    """

    def __init__(self, text: str) -> None:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_WORKERS):
            raise InputError(f"--on here:{text}: give a number of processes from 1 to {MOST_WORKERS}")
        self.most = int(text)
        self.where = "here"
        self._gpus = False
        self._workers: list[Popen[str]] = []
        self._threads = list[Thread]()
        self._places = dict[int, int]()

    def open(self, *, gpus: bool, threads: int) -> None:
        self._gpus = gpus

    def start(self, task: str) -> None:
        path = [*map(str, sys.path), str(Path(__file__).parents[2])]  # no other way finds a source tree
        place = next(n for n in range(len(self._places) + 1) if n not in self._places.values())
        worker = Popen(
            [sys.executable, "-c", CODE.format(path=path, task=task)],
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment_of(place, gpus=self._gpus),
            start_new_session=True,  # Ctrl-C is for this process, which stops the others
        )
        self._workers.append(worker)
        self._places[worker.pid] = place
        thread = Thread(target=_pass_on, args=(worker,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def alive(self) -> int:
        return sum(worker.poll() is None for worker in self._workers)

    def ended(self) -> list[Ended]:
        from autola.working.worker import Ended

        found = list[Ended]()
        for worker in [each for each in self._workers if each.poll() is not None]:
            self._workers.remove(worker)
            del self._places[worker.pid]
            assert worker.stdout is not None
            said, code = worker.stdout.read(), worker.returncode
            _close(worker)
            if code:
                why = f"signal {-code}: killed, or short of memory" if code < 0 else f"exit code {code}"
                found.append(Ended(why=why))
            elif refused := json.loads(said.splitlines()[-1])["refused"]:
                found.append(Ended(refused=refused))
        return found

    def stop(self) -> None:
        for worker in self._workers:
            with suppress(OSError):
                worker.send_signal(signal.SIGTERM)

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            _close(worker)
        self._workers.clear()
        self._places.clear()
        for thread in self._threads:
            thread.join()


EXECUTORS.add("here", Here)


def worker(task: str) -> None:
    """What the process of a worker runs: it ends when whoever started it has ended."""
    source, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # processes that load data close standard input, which would wait for the reader
    os.close(nothing)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is printed on the way is not the answer

    def watch() -> None:
        with os.fdopen(source, "rb") as file:
            file.read()
        os._exit(0)

    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # until there is work to stop
    Thread(target=watch, daemon=True).start()
    from autola.working.worker import main

    out.write(json.dumps({"refused": main(task)}) + "\n")
    out.close()


def environment_of(place: int, *, gpus: bool) -> dict[str, str]:
    """Variables of a worker, which says what it has to say without a terminal, and to which a GPU falls."""
    known = {name: value for name, value in os.environ.items() if name not in _TERMINAL}
    known["PYTHONIOENCODING"] = "utf-8"
    if gpus:
        import torch  # slow

        given, number = known.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count()
        devices = given.split(",") if given else [str(each) for each in range(number)]
        known["CUDA_VISIBLE_DEVICES"] = devices[place % min(len(devices), number)]
    return known


def _pass_on(worker: Popen[str]) -> None:
    """Shows what a worker writes to its standard error: warnings, a traceback."""
    assert worker.stderr is not None
    with worker.stderr:
        for line in worker.stderr:
            sys.stderr.write(line)


def _close(worker: Popen[str]) -> None:
    for stream in (worker.stdin, worker.stdout):
        assert stream is not None
        with suppress(OSError):
            stream.close()
