"""A run: a folder that holds all of one job's records, and survives whatever stops the job."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from foundation.config import config, digest, parse
from foundation.errors import InputError
from foundation.words import typed
from outputs import checkpoint
from outputs.metrics_log import MetricsLog
from outputs.new_folder import clear_unborn, make_folder
from outputs.records import CHECKPOINTS, CONFIG, DATA, ENVIRONMENT, GENOTYPE, METRICS, RESULT, SHARES, Records
from outputs.settings_record import ROOT, SETTINGS
from search_space.genotype import Genotype
from search_space.placement import PLACEMENT, Placement

_PARTIAL = re.compile(r"\..+?(?P<suffix>\.\w+)\.[a-z0-9_]{8}(?P=suffix)|\.tmp[A-Za-z0-9]{6}")
"""Names of files that were being written, by `write_atomically` or within it by safetensors."""


@config
class _Row:
    """A row of shares.json."""

    node: int
    state: int
    shares: dict[str, float]


@config
class _Shares:
    """What shares.json holds."""

    rows: tuple[_Row, ...]


@config
class _SiteRow:
    """A row of the shares.json of a search over placements."""

    site: str
    shares: dict[str, float]


@config
class _SiteShares:
    """What that shares.json holds."""

    rows: tuple[_SiteRow, ...]


S = TypeVar("S")


class LockedError(InputError):
    """Another process is writing to a run."""


class RunDirectory(Records):
    """Reads and writes the records of a run.

    config.json, environment.json, data.json, metrics.jsonl (a line an epoch), genotype.json and shares.json
    (after every epoch of a search), checkpoints/, weights.safetensors and result.json (at the end).

    Args:
        path: An existing run folder.

    Attributes:
        metrics: Its metrics.jsonl.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.metrics = MetricsLog(path / METRICS)
        self._lock: FileLock | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        config: str,
        environment: Mapping[str, Any],
        data: Mapping[str, Any],
        *,
        clear: bool = True,
    ) -> RunDirectory:
        """Makes a new run folder, complete with its config or not at all, and locks it.

        Args:
            path: Its path.
            config: Its config.json.
            environment: Its environment.json.
            data: Its data.json.
            clear: See `make_folder`.

        Raises:
            TakenError: If the path exists already; of several processes that make one, the first has it.
            InputError: If it cannot be written.
        """

        def fill(folder: Path) -> None:
            records = Records(folder)
            records.write_text(CONFIG, config)
            records.write_json(ENVIRONMENT, {**environment, SETTINGS: digest(config, ROOT)})
            records.write_json(DATA, data)

        way_out = f", or go on with --resume {typed(path)}"
        make_folder(path, fill, what="run folder", way_out=way_out, clear=clear)
        return cls(path).lock()

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: If the folder is no run.
        """
        path = Path(path)
        if not (path / CONFIG).is_file():
            raise InputError(f"{path} is not a run folder: it has no {CONFIG}")
        return cls(path)

    def create_member(
        self, name: str, config: str, environment: Mapping[str, Any], data: Mapping[str, Any]
    ) -> None:
        """Makes a run inside this one, which is locked."""
        assert self._lock is not None, "lock the whole run first"
        self.create(self.path / name, config, environment, data, clear=False).unlock()

    def lock(self) -> RunDirectory:
        """Keeps other processes from writing to the run, until this one ends or calls `unlock`.

        Raises:
            LockedError: If another process is writing to it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise LockedError(f"another process is writing to {self.path}; wait for it or stop it") from None
        self._lock = lock
        for path in (*self.path.iterdir(), *(self.path / CHECKPOINTS).glob("*")):
            if _PARTIAL.fullmatch(path.name):  # left by a process that was killed
                path.unlink()
        clear_unborn(self.path)
        return self

    def unlock(self) -> None:
        """Lets others write."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            error.add_note(f"what was recorded is kept (--resume {typed(self.path)} goes on)")
        self.unlock()

    def complete(self) -> bool:
        """Whether the job has ended, with a result that can be read.

        Raises:
            InputError: If there is a result, and it is damaged: nothing is worked out again unasked.
        """
        return self.result() is not None

    def result(self) -> dict[str, Any] | None:
        """The result of the job; None where it has not ended.

        Raises:
            InputError: If it is damaged.
        """
        if not self.has(RESULT):
            return None
        try:
            return self.keys(RESULT)
        except InputError as error:
            raise InputError(
                f"{error}; delete it, and --resume goes on from the newest checkpoint, or begins anew where "
                "none is left"
            ) from None

    def write_genotype(
        self, genotype: Genotype | Placement, shares: Mapping[Any, Mapping[str, float]] | None
    ) -> None:
        """Writes the genotype or placement, and how its edges or sites were contested."""
        self.write_text(PLACEMENT if isinstance(genotype, Placement) else GENOTYPE, genotype.to_json())
        if shares is not None:
            self.write_json(SHARES, [{**_row_key(key), "shares": dict(row)} for key, row in shares.items()])

    def shares(self) -> dict[tuple[int, int], dict[str, float]] | None:
        """Share of each primitive on every edge (node, state); None where the searcher has none."""
        found = self._shares(_Shares, "a list of shares")
        return found and {(row.node, row.state): dict(row.shares) for row in found.rows}

    def site_shares(self) -> dict[str, dict[str, float]] | None:
        """Share of each candidate at every site of a placement; None where the searcher has none."""
        found = self._shares(_SiteShares, "a list of the shares of sites")
        return found and {row.site: dict(row.shares) for row in found.rows}

    def _shares(self, kind: type[S], what: str) -> S | None:
        if not self.has(SHARES):
            return None
        try:
            return parse(kind, {"rows": self.json(SHARES)}, SHARES)
        except InputError:
            raise InputError(f"{self.path / SHARES} is not {what}") from None

    def save_checkpoint(self, state: dict[str, Any], step: int) -> None:
        """Writes the state of the job, with how much was logged by then."""
        checkpoint.save(self.path / CHECKPOINTS, {"job": state, **self.metrics.position()}, step)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest complete state of the job; whoever holds the lock sets the log back to that moment.

        Raises:
            InputError: If a checkpoint carries code, none is whole, or the log lacks lines of before it.
        """
        state = checkpoint.load(self.path / CHECKPOINTS)
        if state is not None and not {"job", "logged"} <= state.keys():
            raise InputError(f"the checkpoints of {self.path} are of another kind; start again")
        if self._lock is not None:
            job = state["job"] if state else None
            step = job.get("step") if isinstance(job, dict) else None
            self.metrics.set_back(state or {"logged": 0}, step if isinstance(step, int) else None)
        return state["job"] if state else None

    def drop_checkpoints(self) -> None:
        """Removes the checkpoints of a job that is complete."""
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)


def _row_key(key: str | tuple[int, int]) -> dict[str, Any]:
    """What a row of shares.json is of: a site, or an edge."""
    return {"site": key} if isinstance(key, str) else {"node": key[0], "state": key[1]}
