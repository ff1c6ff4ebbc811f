"""Processes of this machine that run a worker: forks of this one where that is safe, else new ones.

A fork has all imported, and takes milliseconds of a core where a new process takes seconds. It is not safe
where this process has other threads of Python, which a fork lacks while it keeps their locks, where it uses a
GPU, or where workers compute with several threads: their pool does not survive a fork.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from threading import Thread
from typing import Any

from autola.speaking import ROOMS

CODE = """
import sys
sys.path[:] = {path!r}
from autola.working.processes import answer
answer({task!r})
"""

_LIVING = set["Process"]()


def may_fork(*, gpus: bool, threads: int) -> bool:
    """Whether workers may be forks of this process.

    Args:
        gpus: Whether they train on GPUs.
        threads: CPU threads of each.
    """
    import torch  # slow

    alone = threading.current_thread() is threading.main_thread() and threading.active_count() == 1
    return sys.platform == "linux" and threads == 1 and not gpus and alone and not torch.cuda.is_initialized()


class Process:
    """A process that does what a task says, and ends when this one has ended.

    Args:
        task: A `Task` as JSON.
        variables: Its environment.
        fork: Whether it is a fork of this one.
    """

    def __init__(self, task: str, variables: Mapping[str, str], *, fork: bool) -> None:
        theirs, life = os.pipe()  # which ends with this process, and is never written to
        self._answer, answers = os.pipe()
        self._errors, errors = os.pipe()
        streams, self._ours = (theirs, answers, errors), (life, self._answer, self._errors)
        for stream in (self._answer, self._errors):
            os.set_blocking(stream, False)
        self._unread = b""
        _LIVING.add(self)
        begin = _forked if fork else _executed
        try:
            self._process = begin(task, variables, streams)
        finally:
            for stream in streams:
                os.close(stream)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        if isinstance(self._process, Popen):
            return self._process.poll()
        return self._process.exitcode

    def pass_on(self) -> None:
        """Shows what it has written to its standard error since: warnings, a traceback."""
        *lines, self._unread = (self._unread + _read(self._errors)).split(b"\n")
        for line in lines:
            sys.stderr.write(line.decode("utf-8", errors="replace") + "\n")

    def refused(self) -> str:
        """Why it cannot work here, once it has ended well; "" if it could, or was stopped before it began."""
        said = _read(self._answer).splitlines()
        return json.loads(said[-1])["refused"] if said else ""

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, if it lives."""
        if self.code() is None:
            with suppress(OSError):
                os.kill(self.pid, number)

    def leave(self) -> None:
        """Closes these ends of its pipes: with them open in another process, it would outlive this one."""
        for stream in self._ours:
            with suppress(OSError):
                os.close(stream)

    def close(self) -> None:
        """Ends it, if it lives."""
        self.send(signal.SIGKILL)
        if isinstance(self._process, Popen):
            self._process.wait()
        else:
            self._process.join()
        self.pass_on()
        if self._unread:
            sys.stderr.write(self._unread.decode("utf-8", errors="replace") + "\n")
        _LIVING.discard(self)
        self.leave()


def answer(task: str) -> None:
    """What the process of a worker runs, the pipes being its standard streams."""
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


def _executed(task: str, variables: Mapping[str, str], streams: Any) -> Popen[bytes]:
    path = [*map(str, sys.path), str(Path(__file__).parents[2])]  # no other way finds a source tree
    command = [sys.executable, "-c", CODE.format(path=path, task=task)]
    stdin, stdout, stderr = streams
    return Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(variables),
        start_new_session=True,  # Ctrl-C is for this process, which stops the others
    )


def _forked(task: str, variables: Mapping[str, str], streams: Any) -> Any:
    sys.stdout.flush()
    process = multiprocessing.get_context("fork").Process(
        target=_begin, args=(task, variables, streams), daemon=False
    )
    process.start()
    return process


def _begin(task: str, variables: Mapping[str, str], streams: tuple[int, ...]) -> None:
    """Makes a fork what a new process would be, and works."""
    os.setsid()  # Ctrl-C is for its parent, which stops the others
    for other in _LIVING:
        other.leave()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, "utf-8", "replace") for number in (1, 2))
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for room in ROOMS:
        logging.getLogger(room).handlers.clear()
        logging.getLogger(room).propagate = True
    answer(task)


def _read(stream: int) -> bytes:
    """What there is to be read of a pipe now."""
    found = b""
    with suppress(OSError):  # nothing more at this moment
        while part := os.read(stream, 1 << 16):
            found += part
    return found
