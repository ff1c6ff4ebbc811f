"""How long a list of trainings takes on 1 to 10,000 workers that die and that are slow: a simulation.

Each worker takes the next item of the list when it is free. One that dies is noticed when its lease is over;
what it was at goes on elsewhere from the last checkpoint, and the worker comes back after a while. Some
workers are slow all along. Durations are those that a run recorded, drawn again for longer lists, or of a
log-normal law. Beside the time stands the bound that no order beats: the longest item, or all work shared out
evenly.

    python -m benchmarks.scaling --run RUN --items 10000 --json outputs/published/scaling.json
"""

from __future__ import annotations

import heapq
import json
import math
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import tyro

from foundation.errors import InputError
from foundation.files import write_text
from outputs.records import RESULT


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    run: Path | None = None
    """Folder of a retraining or comparison whose trainings' durations are replayed; drawn if left out."""
    items: int | None = None
    """Trainings in the list, drawn from those that were recorded; as many as the run has, or 1,000."""
    minutes: float = 30.0
    """Median of a drawn duration."""
    spread: float = 0.5
    """Standard deviation of the logarithm of a drawn duration."""
    workers: tuple[int, ...] = (1, 10, 100, 1000, 10_000)
    """Numbers of workers that are tried."""
    death_hours: float = 24.0
    """Mean time between two deaths of one worker; inf for none."""
    back_minutes: float = 5.0
    """Time until a dead worker is back."""
    lease_seconds: float = 60.0
    """Time until a death is noticed."""
    start_seconds: float = 5.0
    """Of a worker: to start Python and torch, after each death as well."""
    item_seconds: float = 0.3
    """Of an item beyond its training: claim, records."""
    checkpoints: int = 20
    """Checkpoints of a training, evenly apart: its epochs."""
    slow: float = 0.05
    """Share of the workers that are slow."""
    slowness: float = 3.0
    """Times as long as others take that slow workers take."""
    longest_first: bool = False
    """Begin with what takes longest, as if that were known."""
    seed: int = 0
    """Of all that is drawn."""
    json: Path | None = None
    """Where the figures are written."""


@dataclass
class Outcome:
    """What a simulated list came to; times in seconds.

    Attributes:
        workers: How many there were.
        makespan: From the first start to the last end.
        bound: The longest item at a worker's usual pace, or the sum of all over the number of workers.
        wasted: Work that was done again, as a share of all work.
        deaths: How often a worker died while it was at an item.
    """

    workers: int
    makespan: float
    bound: float
    wasted: float
    deaths: int


def durations(options: Options, rng: Random) -> list[float]:
    """Seconds of each training, in the order of the list.

    Raises:
        InputError: If the run has no training that ended.
    """
    if options.run is None:
        law = math.log(60 * options.minutes), options.spread
        drawn = [rng.lognormvariate(*law) for _ in range(options.items or 1000)]
    else:
        results = [json.loads(file.read_text()) for file in sorted(options.run.glob(f"*/{RESULT}"))]
        drawn = [result["seconds"] for result in results if "seconds" in result]
        if not drawn:
            raise InputError(f"{options.run} holds no training that ended")
        if options.items is not None:
            drawn = rng.choices(drawn, k=options.items)
    return sorted(drawn, reverse=True) if options.longest_first else drawn


def simulate(seconds: list[float], workers: int, options: Options, rng: Random) -> Outcome:
    """Plays one list on a number of workers."""
    waiting = deque((length, 0.0) for length in seconds)  # what it takes in all, and what is done of it
    pace = [options.slowness if rng.random() < options.slow else 1.0 for _ in range(workers)]
    free = [(options.start_seconds, number) for number in range(workers)]
    heapq.heapify(free)
    noticed = list[tuple[float, float, float]]()  # when a dead worker's item may be taken, and what it is
    rate = 1 / (3600 * options.death_hours)
    end, wasted, deaths = 0.0, 0.0, 0
    while waiting or noticed:
        now, number = heapq.heappop(free)
        while noticed and (noticed[0][0] <= now or not waiting):
            when, length, done = heapq.heappop(noticed)
            now = max(now, when)
            waiting.appendleft((length, done))
        length, done = waiting.popleft()
        takes = options.item_seconds + (length - done) * pace[number]
        dies = rng.expovariate(rate) if rate else math.inf
        if dies >= takes:
            end = max(end, now + takes)
            heapq.heappush(free, (now + takes, number))
            continue
        deaths += 1
        reached = done + max(0.0, dies - options.item_seconds) / pace[number]
        step = length / options.checkpoints
        kept = max(done, math.floor(reached / step) * step)
        wasted += reached - kept
        heapq.heappush(noticed, (now + dies + options.lease_seconds, length, kept))
        heapq.heappush(free, (now + dies + 60 * options.back_minutes + options.start_seconds, number))
    total = sum(seconds)
    return Outcome(workers, end, max(max(seconds), total / workers), wasted / (total + wasted), deaths)


def main() -> None:
    """Prints a table, a line for each number of workers."""
    options = tyro.cli(Options, description=__doc__)
    try:
        seconds = durations(options, Random(options.seed))
    except InputError as error:
        raise SystemExit(f"scaling: {error}") from None
    hours, longest = sum(seconds) / 3600, max(seconds) / 60
    print(f"{len(seconds)} items, {hours:.1f} hours of work, the longest {longest:.1f} min")
    print(f"{'workers':>8} {'makespan':>12} {'bound':>12} {'ratio':>7} {'wasted':>8} {'deaths':>7}")
    outcomes = [simulate(seconds, workers, options, Random(options.seed)) for workers in options.workers]
    for each in outcomes:
        print(
            f"{each.workers:8d} {each.makespan / 3600:10.2f} h {each.bound / 3600:10.2f} h "
            f"{each.makespan / each.bound:7.2f} {each.wasted:8.2%} {each.deaths:7d}"
        )
    if options.json:
        kept: dict[str, Any] = asdict(options)
        kept["run"], kept["json"] = options.run and options.run.name, None
        figures = {"options": kept, "items": len(seconds), "outcomes": [asdict(each) for each in outcomes]}
        write_text(options.json, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
