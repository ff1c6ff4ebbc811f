"""How far a list of items is, from its folder alone, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from autola.tables import TABLE
from autola.working.attempt import LOG, WORK
from autola.working.worklist import Seen, WorkList
from foundation.errors import InputError, listed
from foundation.words import counted, typed
from outputs.comparison import COMPARISON
from outputs.front import FRONT
from outputs.metrics_log import MetricsLog
from outputs.records import METRICS, RESULT, Records

MOST_SHOWN = 40
"""Running items that the text names."""


@dataclass(frozen=True)
class Running:
    """An item that somebody does.

    Attributes:
        item: Its folder.
        host: Name of the machine; "" while it is being taken up.
        process: Number of the process there.
        since: Seconds since 1970, by that machine's clock.
        epoch: Epochs that are complete.
        epochs: Epochs in all.
    """

    item: str
    host: str
    process: int
    since: float
    epoch: int
    epochs: int


@dataclass(frozen=True)
class Aside:
    """An item that was set aside.

    Attributes:
        item: Its folder.
        why: Its last error.
        log: Path of its log.
    """

    item: str
    why: str
    log: str


@dataclass(frozen=True)
class Status:
    """How far a list is.

    Attributes:
        run: Its folder.
        command: What makes and concludes it.
        items: Number of items, later ones included.
        later: Number of those that are only known once others are done.
        done: Number of those that are done.
        waiting: Number of those that anyone may take up.
        failed: Number of those among them that failed at least once.
        running: Those that somebody does.
        aside: Those that were set aside after failures.
        seconds_left: What the rest takes with as many workers as there are now, by what similar items took;
            None where nothing is known or nobody works.
        concluded: Whether the table, comparison, front or answer of all that is done is there.
    """

    run: str
    command: str
    items: int
    later: int
    done: int
    waiting: int
    failed: int
    running: tuple[Running, ...]
    aside: tuple[Aside, ...]
    seconds_left: float | None
    concluded: bool

    def json(self) -> dict[str, Any]:
        """How far the list is as JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """How far the list is, in lines for people."""
        yield (
            f"{self.run}  {counted(self.items, 'item')}: {self.done} done, {len(self.running)} running, "
            f"{self.waiting} waiting{f' ({self.failed} of them failed before)' if self.failed else ''}, "
            f"{len(self.aside)} set aside{f', {self.later} later' if self.later else ''}"
        )
        for each in self.running[:MOST_SHOWN]:
            if each.host:
                began = time.strftime("%H:%M:%S", time.localtime(each.since))
                yield (
                    f"  {each.item}  on {each.host}, process {each.process}, since {began}, "
                    f"epoch {each.epoch} of {each.epochs}"
                )
            else:
                yield f"  {each.item}  being taken up"
        if len(self.running) > MOST_SHOWN:
            yield f"  and {len(self.running) - MOST_SHOWN} more"
        for failed in self.aside:
            yield f"set aside  {failed.item}: {failed.why} (log: {failed.log})"
        if self.concluded:
            yield "all is done and concluded"
        elif self.done + len(self.aside) == self.items:
            yield f"nothing is left; {concluding(self.command, self.run)} concludes"
        elif self.seconds_left is not None:
            yield f"about {_span(self.seconds_left)} left"
        elif not self.running and not self.waiting:
            yield f"nobody works on it: {concluding(self.command, self.run)} goes on"
        elif not self.running:
            work = f"autola work {typed(self.run)}"
            yield f"nobody works on it: {concluding(self.command, self.run)}, or {work}"


def concluding(command: str, run: str) -> str:
    """What makes the table, front or answer of a run whose items are done."""
    return f"python -m {command}" if "." in command else f"autola {command} --resume {typed(run)}"


def status_of(worklist: WorkList) -> Status:
    """How far a list is now."""
    seen = list(worklist.all())
    running = [each for each in seen if each.state == "running"]
    aside = [each for each in seen if each.state == "aside"]
    epochs = worklist.listed.epochs
    return Status(
        run=str(worklist.whole),
        command=worklist.listed.command,
        items=len(seen) + worklist.listed.more,
        later=worklist.listed.more,
        done=sum(each.state == "done" for each in seen),
        waiting=sum(each.state == "waiting" for each in seen),
        failed=sum(each.state == "waiting" and each.failures > 0 for each in seen),
        running=tuple(_running(each, epochs) for each in running),
        aside=tuple(
            Aside(
                item=each.name,
                why=(each.attempt and each.attempt.why) or "its process ended",
                log=str(worklist.whole / each.name / WORK / LOG),
            )
            for each in aside
        ),
        seconds_left=_left(worklist, seen),
        concluded=all(each.state == "done" for each in seen) and _concluded(worklist, seen),
    )


def _concluded(worklist: WorkList, seen: Sequence[Seen]) -> bool:
    """Whether a conclusion is as new as all items."""
    files = [worklist.whole / name for name in (TABLE, COMPARISON, FRONT, RESULT)]
    times = [file.stat().st_mtime for file in files if file.is_file()]
    ended = ((worklist.whole / each.name / RESULT).stat().st_mtime for each in seen)
    return bool(times) and not worklist.listed.more and max(times) >= max(ended, default=0.0)


def _running(seen: Seen, epochs: int) -> Running:
    attempt = seen.attempt
    if attempt is None:
        return Running(seen.name, "", 0, 0.0, 0, epochs)
    return Running(seen.name, attempt.host, attempt.process, attempt.since, attempt.epoch, epochs)


def _left(worklist: WorkList, seen: Sequence[Seen]) -> float | None:
    """The rest of the items over the workers that there are, and at least the longest of them."""
    took = dict[str, list[float]]()
    for each in seen:
        if each.state == "done":
            took.setdefault(_kind(each.name), []).append(_seconds(worklist, each.name))
    everything = [seconds for many in took.values() for seconds in many]
    lengths, workers = list[float](), 0
    for each in seen:
        if each.state not in ("running", "waiting"):
            continue
        alike = took.get(_kind(each.name)) or everything
        epoch = each.attempt.epoch if each.attempt else 0
        workers += each.state == "running"
        if alike:
            lengths.append(fmean(alike) * max(0.0, 1 - epoch / worklist.listed.epochs))
        elif each.state == "running" and epoch:
            pace = MetricsLog(worklist.whole / each.name / METRICS).seconds() / epoch
            everything.append(pace * worklist.listed.epochs)
            lengths.append(pace * (worklist.listed.epochs - epoch))
        else:
            lengths.append(0.0)
    if not workers or not everything:
        return None
    lengths += [fmean(everything)] * worklist.listed.more
    return round(max(max(lengths), sum(lengths) / workers), 1)


def _kind(name: str) -> str:
    """What an item has in common with those that take as long: all but its seed."""
    return name.rpartition("-seed")[0]


def _seconds(worklist: WorkList, name: str) -> float:
    try:
        return float(Records(worklist.whole / name).numbers(RESULT, "seconds")["seconds"])
    except InputError:
        return 0.0


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def summary(worklist: WorkList) -> str:
    """What is done of a list, and what goes on with it, in a line."""
    status = status_of(worklist)
    names = listed([each.item for each in status.running])
    others = f"; others do {names}" if names else ""
    then = "goes on" if status.later else "concludes"
    return f"{status.done} of {status.items} done{others}; {concluding(status.command, status.run)} {then}"


def where(seen: Seen) -> str:
    """Who does an item, in a few words."""
    attempt = seen.attempt
    return "being taken up" if attempt is None else f"{attempt.host}, process {attempt.process}"


def missing(worklist: WorkList) -> list[tuple[str, str]]:
    """The items that are set aside, and why."""
    return [
        (seen.name, seen.attempt.why or "its process ended")
        for seen in worklist.open()
        if seen.state == "aside" and seen.attempt is not None
    ]


def missing_line(worklist: WorkList, name: str, why: str) -> str:
    """An item that is set aside, why, and where its log is."""
    path = worklist.whole / name / WORK / LOG
    return f"{name}, set aside: {why}" + (f" (log: {path})" if path.is_file() else "")
