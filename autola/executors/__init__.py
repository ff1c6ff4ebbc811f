"""Where workers run, one kind a file; a new one here is found by itself.

An executor starts workers and says which have ended. It hands out no items: workers take these up themselves
from the run's folder (`autola.working.worker.main`), wherever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from foundation.cores import usable_cores
from foundation.errors import InputError, listed, shown
from foundation.registry import Registry

MOST_WORKERS = 64
"""Workers of one machine: beyond any of today."""


@dataclass(frozen=True)
class Ended:
    """How a worker ended that did not simply find nothing more to do.

    Attributes:
        refused: Why it could not work here, in a line for the user; "" where that is not it.
        why: What ended it otherwise.
    """

    refused: str = ""
    why: str = ""


class Executor(Protocol):
    """Starts workers somewhere.

    Attributes:
        most: Workers at a time at most.
        where: Where they run, in a few words.
        local: Whether all of them are on this machine, and share its cores.
    """

    most: int
    where: str
    local: bool

    def open(self, *, gpus: bool, threads: int) -> None:
        """Gets ready, before anything is written; called again before each list, it does nothing more.

        Args:
            gpus: Whether workers train on GPUs, one each.
            threads: CPU threads of each.

        Raises:
            InputError: If nothing can run there.
        """
        ...

    def start(self, task: str) -> None:
        """Starts one more worker, which runs `autola.working.worker.main(task)`."""
        ...

    def alive(self) -> int:
        """Workers that have not ended, those that wait for a place included."""
        ...

    def ended(self) -> list[Ended]:
        """The workers that ended otherwise than for want of work, since this was last asked."""
        ...

    def stop(self) -> None:
        """Asks all workers to write a checkpoint and end."""
        ...

    def close(self) -> None:
        """Ends whatever is left of them."""
        ...


EXECUTORS: Registry[Callable[[str], Executor]] = Registry("place to run", __name__)
"""Makes an executor of what follows its name and a colon: `here:4` gives "4"."""


def executor_of(on: str, jobs: int | None = None) -> Executor | None:
    """The executor that `--on` names; None for this process itself.

    Args:
        on: here, here:N, ray, ray://HOST:PORT, slurm or one of the user's; options follow as in
            slurm:time=60,partition=gpu.
        jobs: `--jobs N`, short for here:N; None where it was not given.

    Raises:
        InputError: If there is no such place, or both say something else.
    """
    if jobs is not None and (not isinstance(jobs, int) or not 1 <= jobs <= MOST_WORKERS):
        raise InputError(f"jobs is {shown(jobs)}; give a number from 1 to {MOST_WORKERS}")
    if jobs is not None and on != "here":
        raise InputError(f"--jobs {jobs} is short for --on here:{jobs}, and --on says {on}; leave one out")
    if jobs is not None:
        on = f"here:{jobs}"
    name, _, rest = on.partition(":")
    if on in ("here", "here:1"):
        return None
    return EXECUTORS[name](rest)


def share_of(executor: Executor | None, threads: int) -> int:
    """CPU threads of each worker where none are asked for: those given, shared out among this machine's.

    Args:
        executor: What starts workers; None for this process alone.
        threads: What one process would take.
    """
    if executor is None or not executor.local:
        return threads
    return max(1, min(threads, usable_cores() // executor.most))


def options_of(text: str, usual: Mapping[str, str], place: str) -> dict[str, str]:
    """Options as in `time=60,partition=gpu`.

    Args:
        text: They.
        usual: Those that there are, with what they are where they are not given; "" for nothing.
        place: The executor's name, for messages.

    Raises:
        InputError: If one is unknown, twice there or empty.
    """
    found = dict[str, str]()
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if key not in usual or not equals or not value or key in found:
            raise InputError(f"--on {place}: cannot read {shown(part)}; options are {listed([*usual], 20)}")
        found[key] = value
    return {**usual, **found}


def number_of(options: Mapping[str, str], key: str, place: str, most: int) -> int:
    """An option that is a number from 1 on.

    Raises:
        InputError: If it is none.
    """
    value = options[key]
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= most):
        raise InputError(f"--on {place}: {key} is {shown(value)}; give a number from 1 to {most}")
    return int(value)
