"""A run: a folder that holds all of one job's records, and survives whatever stops the job."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from outputs import checkpoint
from outputs.files import no_space, out_of_space, write_atomically, write_text
from search_space.errors import InputError
from search_space.genotype import Genotype

CONFIG, ENVIRONMENT, DATA, METRICS = "config.json", "environment.json", "data.json", "metrics.jsonl"
GENOTYPE, SHARES, RESULT, WEIGHTS = "genotype.json", "shares.json", "result.json", "weights.safetensors"
CHECKPOINTS = "checkpoints"

_PARTIAL = re.compile(r"\.(step-\d+\.pt|\w+\.(json|safetensors))\.[a-z0-9_]{8}\.(pt|json|safetensors)")
"""Names of files that were being written."""


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
            InputError: If the path exists already, or cannot be written.
        """
        if path.exists():
            raise InputError(f"{path} exists already; choose another --out, or go on with --resume {path}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                partial.chmod(0o755)
                write_text(partial / CONFIG, config)
                write_text(partial / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
                write_text(partial / DATA, json.dumps(data, indent=2) + "\n")
                partial.rename(path)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        except OSError as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}") from None
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
        for left in self.path.iterdir():
            if re.fullmatch(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}", left.name):
                shutil.rmtree(left)
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
            return (self.path / name).read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            raise InputError(f"{self.path} has no readable {name}") from None

    def json(self, name: str) -> Any:
        """A JSON record.

        Raises:
            InputError: If the run has none of that name, or it is cut short.
        """
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path / name} is cut short or not JSON ({error})") from None

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
        """Of every edge (node, state): the share of each primitive; None where the searcher has none."""
        if not self.has(SHARES):
            return None
        try:
            return {(row["node"], row["state"]): row["shares"] for row in self.json(SHARES)}
        except (KeyError, TypeError):
            raise InputError(f"{self.path / SHARES} is not a list of shares") from None

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

    def metrics(self) -> list[dict[str, Any]]:
        """All complete lines of metrics.jsonl.

        Raises:
            InputError: If one of them is not JSON.
        """
        if not self.has(METRICS):
            return []
        lines = [line for line in self.text(METRICS).splitlines(keepends=True) if line.endswith("\n")]
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path / METRICS} is damaged ({error})") from None

    def seconds(self) -> float:
        """Seconds of all epochs, stops in between left out."""
        return round(sum(record["epoch_seconds"] for record in self.metrics()), 2)

    def save_checkpoint(self, state: dict[str, Any], step: int) -> None:
        """Writes the state of the job, with how much was logged by then."""
        path = self.path / METRICS
        logged = path.stat().st_size if path.exists() else 0
        checkpoint.save(self.path / CHECKPOINTS, {"job": state, "logged": logged}, step)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest complete state of the job; whoever holds the lock sets the log back to that moment.

        Raises:
            InputError: If a checkpoint carries code.
        """
        state = checkpoint.load(self.path / CHECKPOINTS)
        if state is not None and not {"job", "logged"} <= state.keys():
            raise InputError(f"the checkpoints of {self.path} are of another kind; start again")
        path = self.path / METRICS
        if self._lock is not None and path.exists():
            logged = path.read_bytes()[: state["logged"] if state else 0]
            os.truncate(path, logged.rfind(b"\n") + 1)
        return state["job"] if state else None

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

    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"no weights at {path}") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} is cut short or not a safetensors file ({error}); "
            "other formats can carry code and are refused"
        ) from None
