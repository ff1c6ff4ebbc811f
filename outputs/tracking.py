"""Takes the figures of a run to its trackers, so that these hold the steps of metrics.jsonl, each once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from outputs.records import CONFIG, ENVIRONMENT
from outputs.run_directory import RunDirectory
from outputs.trackers import TRACKERS, Start, Tracker, check_trackers, wanted

log = logging.getLogger(__name__)

IDS = "trackers.json"
"""In a run folder: what each tracker calls the run."""

RESULT = "result"
"""Begins the names of what a run ends with."""

_LONGEST_REASON = 160


class Tracking:
    """The trackers of a run, begun or gone on with.

    A tracker that fails gets no more figures until the end, when all that it lacks is tried once more; a
    line of the log says so, and the job goes on.

    Args:
        run: The run folder, locked by this process.
        names: Values of the option; none in processes that do not write.
    """

    def __init__(self, run: RunDirectory, names: Iterable[str]) -> None:
        self._run = run
        self._followers = [_Follower(run, name) for name in wanted(names)]
        for follower in self._followers:
            follower.catch_up()

    def log(self, line: Mapping[str, Any]) -> None:
        """Adds a line of metrics.jsonl."""
        for follower in self._followers:
            follower.log(line)

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Adds what the run ends with: numbers as figures of the last step, the rest as texts."""
        for follower in self._followers:
            follower.conclude(result)

    def close(self) -> None:
        """Sends what waits to be sent."""
        for follower in self._followers:
            follower.close()


class _Follower:
    """A tracker that follows a run, or has failed to."""

    def __init__(self, run: RunDirectory, name: str) -> None:
        self._run, self._name = run, name
        self._tracker: Tracker | None = None
        self._known = dict[str, set[int]]()
        self._warned = False

    def catch_up(self) -> None:
        """Finds or begins the run at the tracker, and adds what that lacks."""
        records = self._run.metrics.records()
        try:
            check_trackers([self._name])
            ids = self._run.keys(IDS) if self._run.has(IDS) else {}
            self._tracker = TRACKERS[self._name](_start(self._run, ids.get(self._name)))
            known = self._tracker.id
        except Exception as error:  # whatever a tracker raises
            self._fail(error)
            return
        if ids.get(self._name) != known:
            self._run.write_json(IDS, {**ids, self._name: known})
        for record in records:
            self.log(record)

    def log(self, line: Mapping[str, Any]) -> None:
        """Adds a line of metrics.jsonl."""
        figures = {name: value for name, value in line.items() if name not in ("step", "epoch")}
        self._add(_step(line), figures)

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Adds what the run ends with, after a last try where the tracker failed before."""
        if self._tracker is None:
            self.catch_up()
        records = self._run.metrics.records()
        named = {f"{RESULT}/{_name(name)}": value for name, value in flat(result).items()}
        self._add(_step(records[-1]) if records else 0, named)
        texts = {name: value for name, value in named.items() if isinstance(value, str)}
        try:
            if self._tracker is not None:
                self._tracker.conclude(texts)
        except Exception as error:  # likewise
            self._fail(error)

    def close(self) -> None:
        """Sends what waits to be sent."""
        left, self._tracker = self._tracker, None
        try:
            if left is not None:
                left.close()
        except Exception as error:  # likewise
            self._fail(error)

    def _add(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds the numbers that the tracker does not have at a step."""
        try:
            if self._tracker is None:
                return
            missing = dict[str, float]()
            for name, value in values.items():
                clean = _name(name)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    if clean not in self._known:
                        self._known[clean] = self._tracker.steps(clean)
                    if step not in self._known[clean]:
                        missing[clean] = float(value)
            if missing:
                self._tracker.log(step, missing)
            for name in missing:
                self._known[name].add(step)
        except Exception as error:  # likewise
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Leaves the tracker alone, and says so once."""
        left, self._tracker, self._known = self._tracker, None, {}
        with suppress(Exception):  # likewise, at what it has left to send
            if left is not None:
                left.close()
        if not self._warned:
            self._warned = True
            reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
            log.warning(
                "%s: %s gets no more figures, metrics.jsonl has them: %s", self._run.path, self._name, reason
            )


def _start(run: RunDirectory, known: str | None) -> Start:
    path = run.path.resolve()
    inside = (path.parent / CONFIG).is_file()  # one of the runs of a retraining, or of a front
    return Start(
        experiment=path.parent.name or "runs",
        name=path.name,
        folder=path.parent.parent if inside else path.parent,
        settings={name: _text(value) for name, value in flat(run.json(CONFIG)).items()},
        tags={
            "run": str(path),
            **{name: _text(value) for name, value in flat(run.json(ENVIRONMENT)).items()},
        },
        id=known,
    )


def flat(value: Any) -> dict[str, Any]:
    """Nested keys as one level, joined by points; a list of plain values stays one value."""
    return dict(_leaves(value, ()))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for number, part in enumerate(value):
            yield from _leaves(part, (*path, str(number)))
    else:
        yield ".".join(path), value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _step(line: Mapping[str, Any]) -> int:
    return int(line.get("step", line.get("epoch", 0)))  # trials have no step


def _name(name: str) -> str:
    """A name in the letters that trackers take, as in TensorBoard's events."""
    return re.sub(r"[^-/\w.]", "_", name)


__all__ = ["IDS", "RESULT", "Tracking", "flat"]
