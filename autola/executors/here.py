"""Workers as processes of this machine, which share out its GPUs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from autola.executors import EXECUTORS, MOST_WORKERS, Ended
from foundation.errors import InputError

if TYPE_CHECKING:
    from autola.working.processes import Process

_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that make rich draw bars where there is no terminal: the bar is this process's."""


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
        self.where, self.local = "here", True
        self._gpus, self._threads = False, 0
        self._workers: dict[int, Process] = {}

    def open(self, *, gpus: bool, threads: int) -> None:
        self._gpus, self._threads = gpus, threads

    def start(self, task: str) -> None:
        from autola.working.processes import Process, may_fork

        place = next(n for n in range(len(self._workers) + 1) if n not in self._workers)
        fork = may_fork(gpus=self._gpus, threads=self._threads)
        self._workers[place] = Process(task, environment_of(place, gpus=self._gpus), fork=fork)

    def alive(self) -> int:
        for worker in self._workers.values():
            worker.pass_on()
        return sum(worker.code() is None for worker in self._workers.values())

    def ended(self) -> list[Ended]:
        found = list[Ended]()
        for place, worker in [*self._workers.items()]:
            code = worker.code()
            if code is None:
                continue
            del self._workers[place]
            if code:
                why = f"signal {-code}: killed, or short of memory" if code < 0 else f"exit code {code}"
                found.append(Ended(why=why))
            elif refused := worker.refused():
                found.append(Ended(refused=refused))
            worker.close()
        return found

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.send(signal.SIGTERM)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


EXECUTORS.add("here", Here)


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
