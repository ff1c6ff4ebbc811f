"""Does what waits in a run that somebody else conducts, or one item of it."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import torch

from autola.cli import import_modules
from autola.executors import Executor
from autola.stopping import polite
from autola.working.doing import Doer
from autola.working.driver import do_by, do_here
from autola.working.driving import LOOK_SECONDS
from autola.working.items import LIST, Listed, epochs_of, read_item
from autola.working.lease import Lease
from autola.working.making import versions
from autola.working.progress import where
from autola.working.worker import carry_out, check_here
from autola.working.worklist import WorkList
from foundation.errors import InputError
from outputs.records import ENVIRONMENT, Records

log = logging.getLogger(__name__)


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
