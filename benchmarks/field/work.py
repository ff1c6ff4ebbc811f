"""The folder that a cell works in, and how it runs commands there."""

from __future__ import annotations

import io
import json
import os
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from autola.working.attempt import WORK
from benchmarks.field.jobs import DATA, WORDS, write_data
from benchmarks.field.wrong import WrongError, expect

MOST_LINES = 4
"""Lines that a refusal may have: the error in one or two, and what a reader told before."""


@dataclass(frozen=True)
class Told:
    """What a command said.

    Attributes:
        code: Its exit code; 1 where it raised an error of its own.
        out: Its standard output.
        err: Its standard error.
    """

    code: int
    out: str
    err: str


class Work:
    """An empty folder, which is the current one.

    Args:
        folder: The folder.
        shared: A folder for runs that several cells begin with.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder, self.shared = folder, shared

    def run(self, *words: str) -> Told:
        """Runs a command in this process."""
        from autola.cli import main

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as ended:
                code = int(ended.code or 0)
            except Exception:
                code = 1
                err.write(traceback.format_exc())
        return Told(code, out.getvalue(), err.getvalue())

    def done(self, *words: str) -> Told:
        """Runs a command that has to succeed."""
        told = self.run(*words)
        expect(told.code == 0, f"{' '.join(words[:3])} ... ended with {told.code}: {last_line(told.err)}")
        return told

    def refused(self, *words: str, naming: str | Sequence[str] = ()) -> str:
        """Runs a command that has to refuse, and to leave everything as it was.

        Args:
            words: Words of the command.
            naming: What its line has to say.

        Returns:
            "refused: " and the line.
        """
        before = everything(self.folder)
        return self.is_refusal(self.run(*words), naming, before)

    def is_refusal(
        self, told: Told, naming: str | Sequence[str] = (), before: dict[str, Any] | None = None
    ) -> str:
        """Holds what a command said against what a refusal is; see `refused`."""
        line = last_line(told.err)
        expect("Traceback" not in told.err, f"traceback: {line}")
        expect(told.code == 2, f"exit code {told.code}, not 2: {line or told.out[-200:]}")
        expect(told.out == "", f"standard output: {told.out[:200]}")
        expect(line.startswith("autola: "), f"no line of autola's: {line}")
        expect(told.err.count("\n") <= MOST_LINES, f"{told.err.count(chr(10))} lines")
        for text in (naming,) if isinstance(naming, str) else naming:
            expect(text in told.err, f"{text!r} is not named: {line}")
        if before is not None:
            now = everything(self.folder)
            changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
            expect(not changed, f"not left as it was: {', '.join(changed[:3])}")
        return f"refused: {line.removeprefix('autola: ')}"

    def refused_or_right(self, *words: str, naming: str | Sequence[str] = ()) -> str:
        """Runs a command that has to refuse, or to succeed and say what is odd.

        Args:
            words: Words of the command.
            naming: What one of its lines has to say, either way.
        """
        before = everything(self.folder)
        told = self.run(*words)
        if told.code:
            return self.is_refusal(told, naming, before)
        for text in (naming,) if isinstance(naming, str) else naming:
            expect(text in told.err, f"done in silence: {text!r} is not said")
        lines = [line for line in told.err.splitlines() if naming and naming[0] in line]
        return f"right, and says: {lines[0]}" if lines else "right"

    def data(self, column: str) -> Path:
        """Writes what a column reads; its commands find it."""
        write_data(column, Path(DATA))
        return Path(DATA)

    def words(self, column: str, out: str = "run") -> list[str]:
        """What starts a column's job."""
        return [*WORDS[column], "--out", out]

    def stopped(self, column: str) -> Path:
        """The data of a column, and a run that was stopped after its first epoch."""
        return self._copied(column, "stopped")

    def finished(self, column: str) -> Path:
        """The data of a column, and a run that has ended."""
        return self._copied(column, "finished")

    def member(self, column: str) -> str:
        """A trained network of a column: the folder of one training."""
        return str(self.finished(column) / "none-seed0")

    def resume(self, column: str) -> list[str]:
        """What lets the run of `stopped` go on."""
        return [WORDS[column][0], "--resume", "run"]

    def _copied(self, column: str, state: str) -> Path:
        kept = self.shared / f"{column}-{state}"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                self._make(column, state, kept)
        for name in (DATA, "run"):
            shutil.copytree(kept / name, name)
        for config in Path("run").rglob("config.json"):
            config.write_text(config.read_text().replace(str(kept), str(self.folder)))
        return Path("run")

    def _make(self, column: str, state: str, kept: Path) -> None:
        making = kept.with_name(f"{kept.name}-making")
        making.mkdir()
        with inside(making):
            write_data(column, Path(DATA))
            if state == "finished":
                self.done(*self.words(column))
            else:
                with stopping():
                    told = self.run(*self.words(column))
                expect(told.code == 130, f"not stopped: {last_line(told.err)}")
        for config in (making / "run").rglob("config.json"):
            config.write_text(config.read_text().replace(str(making), str(kept)))
        making.rename(kept)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Has a folder as the current one for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def stopping() -> Iterator[None]:
    """Has whatever writes a checkpoint interrupted as by Ctrl-C once it is written."""
    from outputs.run_directory import RunDirectory

    real = RunDirectory.save_checkpoint

    def save(self: RunDirectory, state: dict[str, Any], step: int) -> None:
        real(self, state, step)
        raise KeyboardInterrupt

    RunDirectory.save_checkpoint = save
    try:
        yield
    finally:
        RunDirectory.save_checkpoint = real


def everything(folder: Path) -> dict[str, Any]:
    """All that is in a folder: the bytes of its files, without the records of who tried when."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if path.name != ".lock"
        and WORK not in path.relative_to(folder).parts
        and (path.is_dir() or path.is_file())
    }


def last_line(text: str) -> str:
    """The last line of a text; "" if it is empty."""
    return (text.splitlines() or [""])[-1]


def change_json(path: Path, change: Any) -> None:
    """Changes a JSON file by a function of its value, which may give another value."""
    value = json.loads(path.read_text())
    other = change(value)
    path.write_text(json.dumps(value if other is None else other))


__all__ = ["Told", "Work", "WrongError", "change_json", "everything", "inside", "last_line", "stopping"]
