"""A run: a folder that holds all of one job's records, and survives whatever stops the job."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from foundation.config import check_keys, config, parse, read_text
from foundation.errors import InputError, shown
from foundation.files import no_space, out_of_space, write_atomically, write_text
from foundation.reading import check_regular
from outputs import checkpoint
from outputs.new_folder import clear_unborn, make_folder
from outputs.settings import check_number, digest_of, with_root
from search_space.genotype import Genotype

CONFIG, ENVIRONMENT, DATA, METRICS = "config.json", "environment.json", "data.json", "metrics.jsonl"
GENOTYPE, SHARES, RESULT, WEIGHTS = "genotype.json", "shares.json", "result.json", "weights.safetensors"
CHECKPOINTS = "checkpoints"
SETTINGS = "settings"
"""In environment.json: a digest of config.json as it was at the start."""

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


class RunDirectory:
    """Reads and writes the records of a run.

    config.json, environment.json, data.json, metrics.jsonl (a line an epoch), genotype.json and shares.json
    (after every epoch of a search), checkpoints/, weights.safetensors and result.json (at the end).

    Args:
        path: An existing run folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FileLock | None = None

    @classmethod
    def create(
        cls, path: Path, config: str, environment: Mapping[str, Any], data: Mapping[str, Any]
    ) -> RunDirectory:
        """Makes a new run folder, complete with its config or not at all, and locks it.

        Raises:
            TakenError: If the path exists already; of several processes that make one, the first has it.
            InputError: If it cannot be written.
        """
        make_folder(
            path,
            {
                CONFIG: config,
                ENVIRONMENT: json.dumps({**environment, SETTINGS: digest_of(config)}, indent=2) + "\n",
                DATA: json.dumps(data, indent=2) + "\n",
            },
        )
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
        """Makes a run inside this one, which is locked: what a process that was killed left of it goes."""
        assert self._lock is not None, "lock the whole run first"
        clear_unborn(self.path)
        self.create(self.path / name, config, environment, data).unlock()

    def lock(self) -> RunDirectory:
        """Keeps other processes from writing to the run, until this one ends or calls `unlock`.

        Raises:
            InputError: If another process is writing to it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(f"another process is writing to {self.path}; wait for it or stop it") from None
        self._lock = lock
        for path in (*self.path.iterdir(), *(self.path / CHECKPOINTS).glob("*")):
            if _PARTIAL.fullmatch(path.name):  # left by a process that was killed
                path.unlink()
        return self

    def unlock(self) -> None:
        """Lets others write."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *error: object) -> None:
        self.unlock()

    def text(self, name: str) -> str:
        """A text record.

        Raises:
            InputError: If the run has none of that name.
        """
        try:
            return read_text(self.path / name, "record")
        except InputError:
            raise InputError(f"{self.path} has no readable {name}") from None

    def json(self, name: str) -> Any:
        """A JSON record.

        Raises:
            InputError: If the run has none of that name, or it is cut short.
        """
        text = self.text(name)
        check_keys(text, str(self.path / name))
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path / name} is cut short or not JSON ({error})") from None
        except RecursionError:
            raise InputError(f"{self.path / name} is nested too deeply to be one of autola's") from None
        except ValueError:  # Python's limit on digits
            raise InputError(f"{self.path / name} has a number too long to be one of autola's") from None

    def keys(self, name: str, *needed: str) -> dict[str, Any]:
        """A JSON record that is an object.

        Args:
            name: The record.
            needed: Keys that it has to have.

        Raises:
            InputError: If the run has none of that name, it is cut short or of another shape, or lacks a key.
        """
        value = self.json(name)
        if not isinstance(value, dict):
            raise InputError(f"{self.path / name} holds no JSON object; was it edited?")
        for key in needed:
            if key not in value:
                raise InputError(f"{self.path / name} has no {key}; was it edited?")
        return value

    def numbers(self, name: str, *needed: str) -> dict[str, Any]:
        """A JSON record that is an object; see `keys`. What is needed has to be numbers."""
        value = self.keys(name, *needed)
        for key in needed:
            check_number(value, key, str(self.path / name))
        return value

    def check_config(self) -> None:
        """Checks that config.json says what it said when the run began; version 0.1 did not record that.

        Raises:
            InputError: If it was edited in more than the place of the data.
        """
        then = self.keys(ENVIRONMENT).get(SETTINGS) if self.has(ENVIRONMENT) else None
        if then is not None and then != digest_of(self.text(CONFIG)):
            raise InputError(
                f"{self.path / CONFIG} was edited since the run began, and what is recorded belongs to the "
                "settings before; put them back, or start a new run"
            )

    def move_data(self, root: str) -> None:
        """Writes into config.json where the data are now; all else stays as it is."""
        self.write_json(CONFIG, with_root(self.json(CONFIG), root))

    def complete(self) -> bool:
        """Whether the job has ended, with a result that can be read.

        Raises:
            InputError: If there is a result, and it is damaged: nothing is worked out again unasked.
        """
        if not self.has(RESULT):
            return False
        try:
            self.keys(RESULT)
        except InputError as error:
            raise InputError(f"{error}; delete it to go on from the newest checkpoint") from None
        return True

    def has(self, name: str) -> bool:
        """Whether a record is there."""
        return (self.path / name).exists()

    def write_text(self, name: str, text: str) -> None:
        """Writes a text record."""
        write_text(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON record."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def write_genotype(self, genotype: Genotype, shares: Mapping[Any, Mapping[str, float]] | None) -> None:
        """Writes the genotype, and how its edges were contested."""
        self.write_text(GENOTYPE, genotype.to_json())
        if shares is not None:
            rows = [{"node": i, "state": j, "shares": dict(row)} for (i, j), row in shares.items()]
            self.write_json(SHARES, rows)

    def shares(self) -> dict[tuple[int, int], dict[str, float]] | None:
        """Share of each primitive on every edge (node, state); None where the searcher has none."""
        if not self.has(SHARES):
            return None
        try:
            rows = parse(_Shares, {"rows": self.json(SHARES)}, SHARES).rows
        except InputError:
            raise InputError(f"{self.path / SHARES} is not a list of shares") from None
        return {(row.node, row.state): dict(row.shares) for row in rows}

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl."""
        path = self.path / METRICS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if out_of_space(error):
                raise no_space(path) from None
            raise

    def metrics(self, *needed: str) -> list[dict[str, Any]]:
        """All complete lines of metrics.jsonl.

        Args:
            needed: Keys that each has to have.

        Raises:
            InputError: If one of them is not JSON, or lacks a key.
        """
        if not self.has(METRICS):
            return []
        records = list[dict[str, Any]]()
        for number, line in enumerate(self.text(METRICS).split("\n")[:-1], 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self.path / METRICS} is damaged in line {number} ({error})") from None
            if not isinstance(record, dict):
                raise InputError(f"{self.path / METRICS}: line {number} holds no JSON object")
            for key in needed:
                if key not in record:
                    raise InputError(f"{self.path / METRICS}: line {number} has no {key}; was it edited?")
            records.append(record)
        return records

    def seconds(self) -> float:
        """Seconds of all epochs, stops in between left out.

        Raises:
            InputError: If a line of metrics.jsonl lacks its `epoch_seconds`.
        """
        records = self.metrics()
        for number, record in enumerate(records, 1):
            check_number(record, "epoch_seconds", f"{self.path / METRICS}: line {number}")
        return round(sum(record["epoch_seconds"] for record in records), 2)

    def save_checkpoint(self, state: dict[str, Any], step: int) -> None:
        """Writes the state of the job, with how much was logged by then."""
        path = self.path / METRICS
        content = path.read_bytes() if path.exists() else b""
        logged = {"logged": len(content), "lines": content.count(b"\n")}
        checkpoint.save(self.path / CHECKPOINTS, {"job": state, **logged}, step)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest complete state of the job; whoever holds the lock sets the log back to that moment.

        Raises:
            InputError: If a checkpoint carries code, none is whole, or the log lacks lines of before it.
        """
        state = checkpoint.load(self.path / CHECKPOINTS)
        if state is not None and not {"job", "logged"} <= state.keys():
            raise InputError(f"the checkpoints of {self.path} are of another kind; start again")
        if self._lock is not None:
            self._set_log_back(state or {"logged": 0})
        return state["job"] if state else None

    def _set_log_back(self, state: Mapping[str, Any]) -> None:
        """Takes from metrics.jsonl what was written after a checkpoint.

        Lines are counted: an editor may have changed their ends.
        """
        path = self.path / METRICS
        content = path.read_bytes() if path.exists() else b""
        lines = state.get("lines", content[: state["logged"]].count(b"\n"))
        kept = b"".join(content.splitlines(keepends=True)[:lines])
        if kept.count(b"\n") < lines or ("lines" not in state and len(content) < state["logged"]):
            raise InputError(
                f"{path} lacks lines: the newest checkpoint was written after {lines}; "
                "put them back, or start again"
            )
        if len(kept) < len(content):
            os.truncate(path, len(kept))
        self.seconds()  # refuses damaged lines before more work is done
        self._check_steps(state)

    def _check_steps(self, state: Mapping[str, Any]) -> None:
        """Checks that the log can be that of the checkpoint: steps rise, and end before it was written."""
        job = state.get("job")
        reached = job.get("step") if isinstance(job, dict) else None
        before = 0
        for number, record in enumerate(self.metrics(), 1):
            step = record.get("step", before + 1)  # trials have none
            if not isinstance(step, int) or step <= before or (isinstance(reached, int) and step > reached):
                raise InputError(
                    f"{self.path / METRICS}: line {number} is of step {shown(step)}, after {before}, and the "
                    f"newest checkpoint of {reached}; was it taken from another run?"
                )
            before = step

    def drop_checkpoints(self) -> None:
        """Removes the checkpoints of a job that is complete."""
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def save_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Writes weights.safetensors."""
        from safetensors.torch import save_file

        # Copies: safetensors refuses tensors that share memory, and stores row-major ones alone.
        whole = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        write_atomically(self.path / WEIGHTS, lambda path: save_file(whole, path))

    def load_weights(self) -> dict[str, Tensor]:
        """Reads weights.safetensors.

        Raises:
            InputError: If there is none, or it is cut short or of another kind.
        """
        return load_weights(self.path / WEIGHTS)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Raises:
        InputError: If there is none, or it is cut short or of another kind; pickles are never read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise InputError(f"no weights at {path}")
    check_regular(path, "file of weights")
    try:
        return load_file(path)
    except OSError as error:
        raise InputError(f"cannot read weights from {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} is cut short or not a safetensors file ({error}); "
            "other formats can carry code and are refused"
        ) from None
