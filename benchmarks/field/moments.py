"""H and I: jobs that start together, are killed or interrupted at bad moments; records still agree."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import kills
from benchmarks.field.cells import tried
from benchmarks.field.jobs import JOBS
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect


def forked(work: Work, *words: str) -> int:
    """Starts a command in a process of its own; its number."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            code = work.run(*words).code
        finally:
            os._exit(code)
    return process


def code_of(process: int) -> int:
    """The exit code of a process, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@tried("H", "three are started at once without --out", "search", "classification")
def _(work: Work, column: str) -> str:
    work.data(column)
    processes = [forked(work, *work.words(column)[:-2]) for _ in range(3)]
    codes = [code_of(process) for process in processes]
    runs = sorted(path.name for path in Path("outputs/runs").iterdir())
    expect(codes == [0, 0, 0] and len(runs) == 3, f"{codes}, {runs}")
    return f"right: {' '.join(runs)}"


@tried("H", "killed while the run folder is made", "search", "classification", "segmentation")
def _(work: Work, column: str) -> str:
    from outputs import records

    work.data(column)
    real = records.write_text

    def die(path: Path, text: str) -> None:
        real(path, text)
        os.kill(os.getpid(), signal.SIGKILL)

    records.write_text = die
    expect(code_of(forked(work, *work.words(column))) == -9, "not killed")
    records.write_text = real
    work.done(*work.words(column))
    litter = [path.name for path in Path().iterdir() if path.name.startswith(".")]
    expect(not litter, f"left behind: {litter}")
    return "right: nothing left behind"


@tried("H", "terminated in the middle, then resumed", "search", "classification")
def _(work: Work, column: str) -> str:
    work.data(column)
    process = forked(work, *work.words(column))
    began = time.monotonic()
    while not [*Path().glob("run/**/step-*.pt")] and time.monotonic() - began < 60:
        time.sleep(0.01)
    os.kill(process, signal.SIGTERM)
    code_of(process)
    work.done(*work.resume(column))
    kills.ending(next(Path("run").rglob("tensorboard")).parent)
    return "right"


@tried("H", "Ctrl-C while a checkpoint is written", "search", "classification", "imagenet")
def _(work: Work, column: str) -> str:
    import torch

    work.data(column)
    real, calls = torch.save, list[int]()

    def save(state: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half")
            raise KeyboardInterrupt
        real(state, file)

    torch.save = save
    told = work.run(*work.words(column))
    torch.save = real
    expect(told.code == 130 and "Traceback" not in told.err, f"exit code {told.code}: {told.err[-200:]}")
    work.done(*work.resume(column))
    litter = [path.name for path in Path("run").rglob(".*") if path.name != ".lock"]
    expect(not litter, f"left behind: {litter}")
    return "right"


@tried("H", "both checkpoints are damaged", *JOBS)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    for path in Path("run").rglob("step-*.pt"):
        path.write_bytes(path.read_bytes()[:-50])
    return work.refused(*work.resume(column), naming=".pt")


@tried("H", "the run folder has blanks and quotes in its name", "search", "front")
def _(work: Work, column: str) -> str:
    work.data(column)
    name = "it's my 'run'"
    told = work.done(*work.words(column, name))
    for line in told.out.splitlines():
        if line.startswith(("look", "next")):
            words = shlex.split(line)[2:]
            expect(any(name in word for word in words), f"not quoted: {line}")
            work.done(*words[:2], "--no-latency") if words[0] == "inspect" else None
    return "right: what it prints can be pasted"


@tried("H", "a finished run on a disk that cannot be written", "search", "classification", "front")
def _(work: Work, column: str) -> str:
    work.finished(column)
    bound = subprocess.run(["mount", "--bind", "run", "run"], capture_output=True)
    if bound.returncode:
        return "skipped: no right to mount here"
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", "run"], check=True, capture_output=True)
        if column != "classification":
            work.done("inspect", "run", "--no-latency")
        told = work.run(*work.resume(column))
        expect("Traceback" not in told.err and told.code in (0, 2), f"{told.code}: {told.err[-200:]}")
    finally:
        subprocess.run(["umount", "run"], capture_output=True)
    return "right" if told.code == 0 else f"refused: {told.err.splitlines()[-1]}"


@tried("H", "another process writes to the run", "search", "classification", "front")
def _(work: Work, column: str) -> str:
    from filelock import FileLock

    run = work.stopped(column)
    with FileLock(run / ".lock"):
        return work.refused(*work.resume(column), naming="another process is writing")


@tried("I", "stopped and resumed: TensorBoard's steps, and the bits of a run that was not stopped", *JOBS)
def _(work: Work, column: str) -> str:
    work.finished(column)
    Path("run").rename("whole")
    shutil.rmtree("data")
    work.stopped(column)
    work.done(*work.resume(column))
    others = kills.differing(kills.ending(Path("whole")), kills.ending(Path("run")))
    expect(not others, f"differ: {', '.join(others)}")
    return "right: the same"


@tried("I", "started again where the only checkpoint is gone", "search", "classification")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    for path in Path("run").rglob("checkpoints"):
        shutil.rmtree(path)
    work.done(*work.resume(column))
    kills.ending(next(Path("run").rglob("tensorboard")).parent)
    return "right: each step once"


@tried("I", "a metric is infinite or not a number", "python")
def _(work: Work, column: str) -> str:
    from outputs.tensorboard import TensorBoardLog

    Path("run").mkdir()
    board = TensorBoardLog(Path("run"))
    board.log(1, {"loss": float("inf"), "a b/ü": 1.0, "none": None})
    board.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator("run/tensorboard").Reload()
    expect(set(events.Tags()["scalars"]) == {"loss", "a_b/ü"}, str(events.Tags()["scalars"]))
    return "right"
