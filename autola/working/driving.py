"""One driver's work with a list: starts workers while something waits, and sees what became of them."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import Progress

from autola.executors import Executor
from autola.stopping import asked
from autola.working.following import Following
from autola.working.worklist import Seen, WorkList
from foundation.errors import InputError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""Time between two looks at the folder; more where a look takes long."""

LOOK_SHARE = 20
"""The time between two looks is at least so many times as long as a look."""

MOST_DEAD = 100
"""Owners found dead that a worker is told of at most; those that are started after it learn of the others."""

MOST_DEATHS = 3
"""Workers in a row that may end before they take anything up."""


class Driving:
    """One driver's work with a list."""

    def __init__(
        self,
        executor: Executor,
        worklist: WorkList,
        driver: str,
        until: float,
        following: Following,
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
                # A new worker would have to look for a minute before it sees that a heart stands still.
                dead = {each.name: each.dead for each in seen if each.dead is not None}
                lacking = waiting + sum(self._is_ours(each) for each in running) - alive
                self._start(lacking, alive, dict([*dead.items()][:MOST_DEAD]))
            time.sleep(max(LOOK_SECONDS, min(10.0, LOOK_SHARE * (time.monotonic() - began))))

    def _start(self, lacking: int, alive: int, dead: Mapping[str, int]) -> None:
        left = None if math.isinf(self.until) else self.until - time.monotonic()
        for number in range(min(lacking, self.executor.most - alive)):
            keys = {"whole": str(self.worklist.whole), "driver": self.driver, "seconds": left, "dead": dead}
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
