"""The command line in process, in a folder of its own, and small runs to look at."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from autola.cli import main
from autola.speaking import ROOMS
from tests.autola.runs import RETRAIN, SEARCH


class Told(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Call = Callable[..., Told]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in an empty folder, and leaves path and logging as they were."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    for room in ROOMS:
        logger = logging.getLogger(room)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command; words are split at blanks."""

    def run(*words: str) -> Told:
        arguments = [part for word in words for part in word.split()]
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        told = capsys.readouterr()
        return Told(code, str(told.out), str(told.err))

    return run


def everything(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def _kept(found: dict[Path, bytes | None]) -> dict[Path, bytes | None]:
    """The same but locks and leases, which say who looked."""
    return {path: found[path] for path in found if path.name != ".lock" and "lease-" not in path.name}


@pytest.fixture
def refused(call: Call, own_folder: Path) -> Refused:
    """Runs a command that must end with code 2 and one line or two, and touch nothing; returns the lines."""

    def run(*words: str) -> str:
        before = everything(own_folder)
        told = call(*words)
        assert told.code == 2, told
        assert told.out == ""
        assert told.err.splitlines()[-1].startswith("autola: ")
        assert told.err.endswith("\n")
        assert told.err.count("\n") <= 2, told.err
        assert "Traceback" not in told.err
        after = everything(own_folder)
        assert _kept(after) == _kept(before)
        return told.err

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A search and a retraining, complete; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    assert main([*SEARCH.split(), "--out", str(folder / "search")]) == 0
    assert main([*f"retrain none hoga {RETRAIN}".split(), "--out", str(folder / "retrain")]) == 0
    return folder / "search", folder / "retrain"


@pytest.fixture
def found(finished: tuple[Path, Path], own_folder: Path) -> Path:
    """A copy of the complete search."""
    return Path(shutil.copytree(finished[0], own_folder / "found"))


@pytest.fixture
def trained(finished: tuple[Path, Path], own_folder: Path) -> Path:
    """A copy of the complete retraining."""
    return Path(shutil.copytree(finished[1], own_folder / "trained"))
