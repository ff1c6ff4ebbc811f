"""The front door in odd surroundings: closed outputs, poor encodings, names that are no text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def told(words: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a shell, in a process of its own."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, **environment}
    return subprocess.run(
        f'"$PYTHON" -m autola {words}',
        shell=True,
        cwd=cwd,
        env=known,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--help >&-", "the standard output is closed"),
        ("search --resume=-x >&-", "the standard output is closed"),
        ("--version >/dev/full", "No space left on device"),
        ("search $(printf 'di\\377gits')", "is no text in the encoding utf-8; rename it"),
        ("inspect hoga --svg .svg", "does not end in .svg"),
    ],
)
def test_one_line_and_no_traceback(own_folder: Path, words: str, line: str) -> None:
    ended = told(words, cwd=own_folder)
    assert ended.returncode == 2
    assert ended.stderr.startswith("autola: ")
    assert line in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_closed_error_output_ends_nothing(own_folder: Path) -> None:
    assert told("--version 2>&-", cwd=own_folder).returncode == 0
    assert told("nothing 2>&-", cwd=own_folder).returncode == 2


DRAW = r"""
import sys
from autola.streams import prepare
prepare()
print("89.90 \u00b1 0.31 \u00d7 2 \u2500\u2502\u250c \u2192 \u4e00")
print("run/\udcff")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_written_in_ascii(encoding: str) -> None:
    known = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", DRAW], env=known, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    sign, times = ("+-", "x") if encoding == "ascii" else ("\u00b1", "\u00d7")
    line, path = ended.stdout.splitlines()
    assert line.decode(encoding) == f"89.90 {sign} 0.31 {times} 2 -|+ -> ?"
    assert path == b"run/\xff"


def test_resume_takes_a_name_that_begins_with_a_dash(refused) -> None:
    assert "-x is not a run folder" in refused("search --resume=-x")
    assert "-x is not a run folder" in refused("retrain --resume=-x")
    assert "leave the other options out" in refused("search --resume=x --seed 3")


def test_a_drawing_does_not_replace_a_folder(refused, own_folder: Path) -> None:
    (own_folder / "cell.svg").mkdir()
    assert refused("inspect hoga --no-latency --svg cell.svg") == (
        "autola: cell.svg is a folder; name a file to draw into\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        "from autola import Gate, operator\n@operator('se')\nclass Mine(Gate):\n    pass\n",
        "import search_space.operators.squeeze_excite\n"
        "from autola import Gate, operator\n@operator('se')\nclass Mine(Gate):\n    pass\n",
    ],
    ids=["before ours", "after ours"],
)
def test_a_module_that_takes_a_name_of_ours_is_named(own_folder: Path, content: str) -> None:
    (own_folder / "mine.py").write_text(content)
    ended = told("list --import mine", cwd=own_folder)
    assert ended.returncode == 2
    assert "operator 'se' is registered twice" in ended.stderr
    assert "mine" in ended.stderr
    assert "squeeze_excite" in ended.stderr
    assert ended.stderr.count("\n") == 1
