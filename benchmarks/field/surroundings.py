"""O: environment variables, streams and names of the place where a command runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.field.cells import tried
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

ROOT = Path(__file__).parents[2]
BAD = {
    "RANK=1": "RANK",
    "WORLD_SIZE=2 RANK=2 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1": "RANK",
    "SLURM_NTASKS=0 SLURM_PROCID=0": "SLURM",
    "SLURM_NTASKS=two SLURM_PROCID=0": "SLURM_NTASKS",
    "TORCHELASTIC_RUN_ID=x": "TORCHELASTIC_RUN_ID",
    "LOCAL_RANK=x": "LOCAL_RANK",
    "NODE_RANK=-1 MASTER_ADDR=x": "NODE_RANK",
}
"""Variables that make no group of processes, and what has to be named."""


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line for a shell, `autola` in it, in a process of its own."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    line = line.replace("autola ", f'"{sys.executable}" -m autola ', 1)
    return subprocess.run(
        line, shell=True, env=known, capture_output=True, text=True, errors="surrogateescape", timeout=120
    )


def one_line(done: subprocess.CompletedProcess[str], naming: str) -> str:
    """Holds an answer against what a refusal is."""
    expect(done.returncode == 2, f"exit code {done.returncode}: {done.stderr[-200:]}")
    expect("Traceback" not in done.stderr and done.stderr.count("\n") <= 2, done.stderr[-300:])
    expect(naming in done.stderr, f"{naming!r} is not named: {done.stderr[-200:]}")
    return f"refused: {done.stderr.strip().removeprefix('autola: ')}"


for _given, _naming in BAD.items():

    @tried("O", f"{_given} is left over", "search")
    def _(work: Work, column: str, given: str = _given, naming: str = _naming) -> str:
        for pair in given.split():
            name, _, value = pair.partition("=")
            os.environ[name] = value
        words = "search digits --data.limit 60 --width 8 --device cpu --threads 1 --searcher.epochs 1"
        return work.refused(*words.split(), "--searcher.batch-size", "10", "--out", "run", naming=naming)


@tried("O", "standard output is closed, full, or its reader has gone", "list", "inspect")
def _(work: Work, column: str) -> str:
    words = {"list": "autola list", "inspect": "autola inspect hoga --no-latency"}[column]
    one_line(shell(f"{words} >&-"), "standard output is closed")
    line = one_line(shell(f"{words} >/dev/full"), "No space left")
    done = shell(f"({words}; echo $? >code) | head -n 1; cat code")
    expect("Traceback" not in done.stderr and done.stdout.splitlines()[-1] == "0", done.stderr[-200:])
    return line


@tried("O", "an output without the drawing's lines", "inspect", "cost")
def _(work: Work, column: str) -> str:
    words = {"inspect": "autola inspect hoga --no-latency", "cost": "autola cost se --no-latency"}[column]
    for environment in (
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        done = shell(words, **environment)
        expect(done.returncode == 0 and done.stdout.isascii(), done.stderr[-200:] or done.stdout[:100])
    return "right: in ASCII"


@tried("O", "asserts and docstrings are stripped (PYTHONOPTIMIZE=2)", "list", "cost")
def _(work: Work, column: str) -> str:
    done = shell({"list": "autola list", "cost": "autola cost se --no-latency"}[column], PYTHONOPTIMIZE="2")
    expect(done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-300:])
    return "right"


@tried("O", "no home, no terminal size, a tiny one", "inspect")
def _(work: Work, column: str) -> str:
    for environment in ({"COLUMNS": "20"}, {"COLUMNS": "0"}, {"TERM": "dumb"}, {"HOME": "/nonexistent"}):
        done = shell("autola inspect hoga --no-latency", **environment)
        expect(done.returncode == 0, f"{environment}: {done.stderr[-200:]}")
    return "right"


@tried("O", "warnings are errors (PYTHONWARNINGS=error)", "list", "cost")
def _(work: Work, column: str) -> str:
    words = {"list": "autola list", "cost": "autola cost se --no-latency"}[column]
    done = shell(words, PYTHONWARNINGS="error")
    expect(done.returncode == 0, done.stderr[-300:])
    return "right"


@tried("O", "the cache cannot be written, or is a file", "classification")
def _(work: Work, column: str) -> str:
    work.data(column)
    Path("file").touch()
    for number, place in enumerate(("/proc/nowhere", "file", "/dev/null/x")):
        os.environ["AUTOLA_CACHE"] = place
        work.done(*work.words(column, f"run{number}"))
    return "right: read anew each time"


@tried("O", "a path with a null byte, a lone dash, a name that is none", "inspect", "export", "predict")
def _(work: Work, column: str) -> str:
    line = ""
    for name in ("", "-", "a" * 5000, "x/../y", "/dev/null", "/dev/zero", "/proc/self/mem"):
        words = {
            "inspect": ["inspect", name],
            "export": ["export", name, "--onnx", "x.onnx"],
            "predict": ["predict", name, "x.png"],
        }[column]
        line = work.refused(*words)
    return line
