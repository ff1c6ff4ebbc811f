"""Has the items of a list done: in this process, or by workers that an executor starts."""

from __future__ import annotations

import logging
import math
import os
import platform
import sys
import time
from secrets import token_hex

import torch

from autola.executors import Executor
from autola.stopping import asked, polite
from autola.working.doing import Doer
from autola.working.driving import LOOK_SECONDS, Driving
from autola.working.following import Following, progress_bar
from autola.working.progress import where
from autola.working.settings import Settings
from autola.working.worker import carry_out
from autola.working.worklist import WorkList
from foundation.errors import listed

log = logging.getLogger(__name__)


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
    following = Following(worklist)
    try:
        with polite(say=_say_stopping), progress_bar(worklist) as (bar, task):
            Driving(executor, worklist, driver, until, following, bar, task).run()
    finally:
        executor.close()
        following.look(())


def _say_stopping() -> None:
    sys.stderr.write("stopping: what runs writes a checkpoint; Ctrl-C again ends it at once\n")
