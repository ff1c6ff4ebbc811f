"""`autola work`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments
from autola.executors import executor_of
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Does trainings or searches that wait in a run's folder, beside whoever else does; or one of them.

    Any number of these may work on one folder, on any machines that see it: each item is done once.
    """

    folder: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of a retraining, comparison or front, or of one training or search in it."""
    on: str = "here"
    """Where: here, one after another; here:4, four processes of this machine; ray, ray://HOST:PORT, slurm."""
    jobs: int | None = None
    """Processes of this machine, short for --on here:JOBS."""
    minutes: float | None = None
    """Minutes after which nothing is begun any more; no limit if left out."""


def run(arguments: list[str]) -> int:
    """Works, and says what is left; returns 1 if items were set aside."""
    given = read_arguments(Arguments, arguments, command="work")
    if given.folder is None:
        raise InputError("name the folder of a run, or of one training in it")
    executor = executor_of(given.on, given.jobs)
    if given.minutes is not None and not given.minutes > 0:
        raise InputError(f"minutes={given.minutes} is not positive")
    from autola.working.items import is_item, read_list  # slow: pydantic

    single = is_item(given.folder)
    if single and (executor is not None or given.minutes is not None):
        raise InputError(
            "one item is done by one process to its end; leave out --on, --jobs and --minutes, or name the "
            f"run: {given.folder.absolute().parent}"
        )
    if not single:
        read_list(given.folder)  # before the imports below: each is slow, PyTorch and Fabric
    from autola.working.helping import work_on_item, work_on_list
    from autola.working.progress import missing, missing_line, summary
    from autola.working.worklist import WorkList

    if single:
        work_on_item(given.folder)
        out_of_terminal(f"done   {given.folder}")
        return 0
    work_on_list(given.folder, executor, given.minutes)
    worklist = WorkList(given.folder)
    failed = missing(worklist)
    for name, why in failed:
        out_of_terminal(f"missing {missing_line(worklist, name, why)}")
    out_of_terminal(summary(worklist))
    return 1 if failed else 0
