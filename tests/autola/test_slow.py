"""Whole jobs in processes of their own: killed, shared by two, on real images."""

import contextlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import autola
from tests.autola.runs import records

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SMALL = "--data.limit 120 --width 8 --threads 1"
COMMANDS = {
    "search": f"search digits {SMALL} --searcher.epochs 3 --searcher.batch-size 10",
    "retrain": f"retrain none se {SMALL} --train.epochs 6 --train.batch-size 10 --seeds 0",
}
CIFAR10 = Path(os.environ.get("AUTOLA_TEST_DATA", ROOT.parent / "shared" / "data")) / "cifar10"

# Runs a command, with a checkpoint after every step, and kills itself at the n-th of the chosen events:
# nothing is flushed or tidied, as by `kill -9` from outside.
KILLED = """
import os, signal, sys
from autola import drive
from autola.cli import main
from foundation import files
from outputs.run_directory import RunDirectory

where, count, often, *arguments = sys.argv[1:]
left = int(count)
if often == "often":
    drive.CHECKPOINT_SECONDS = -1.0

def counted(act, after):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = act(*arguments, **options)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

if where == "step":
    from evaluators.train import Training
    from searchers.searches.differentiable import DifferentiableSearch
    for job in (Training, DifferentiableSearch):
        job.advance = counted(job.advance, False)
elif where == "inside a file":
    files.os.fsync = counted(os.fsync, False)
elif where == "after a file":
    files.write_atomically = counted(files.write_atomically, True)
    import outputs.checkpoint, outputs.run_directory
    for module in (outputs.checkpoint, outputs.run_directory):
        module.write_atomically = files.write_atomically
elif where == "after a folder":
    RunDirectory.create = counted(RunDirectory.create, True)
sys.exit(main(arguments))
"""


def start(command, cwd, *, program=("-m", "autola")):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *program, *command.split()], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module", params=COMMANDS)
def whole(request, tmp_path_factory):
    """A job that was never stopped."""
    folder = tmp_path_factory.mktemp(request.param)
    told = start(f"{COMMANDS[request.param]} --out run", folder)
    assert told.returncode == 0, told.stderr
    return request.param, folder / "run"


@pytest.mark.parametrize(
    ("where", "most"), [("step", 17), ("inside a file", 16), ("after a file", 13), ("after a folder", 2)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_job_that_is_killed_goes_on_to_the_same_end(whole, own_folder, where, most, seed):
    kind, never_stopped = whole
    count = random.Random(f"{kind} {where} {seed}").randint(5 if where.endswith("file") else 1, most)
    if (where, kind) == ("after a folder", "search"):
        count = 1
    program = ("-c", KILLED, where, str(count), "often" if seed else "seldom")
    told = start(f"{COMMANDS[kind]} --out run", own_folder, program=program)
    assert told.returncode == -9, told.stderr
    again = start(f"{kind} --resume run", own_folder)
    assert again.returncode == 0, again.stderr
    assert records(own_folder / "run") == records(never_stopped)


def test_a_job_that_is_killed_again_and_again_from_outside_ends_the_same(whole, own_folder):
    kind, never_stopped = whole
    command = f"{COMMANDS[kind]} --out run"
    log = own_folder / "run" / ("metrics.jsonl" if kind == "search" else "none-seed0/metrics.jsonl")
    for _ in range(2):
        size = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen(
            [sys.executable, "-m", "autola", *command.split()],
            cwd=own_folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not (log.exists() and log.stat().st_size > size):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        process.kill()
        process.wait()
        command = f"{kind} --resume run"
    assert start(command, own_folder).returncode == 0
    assert records(own_folder / "run") == records(never_stopped)


def test_two_processes_do_one_job_and_leave_one_set_of_records(whole, own_folder):
    kind, never_stopped = whole
    told = start(f"{COMMANDS[kind]} --out run --devices 2 --device cpu", own_folder)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("run    run") == 1
    assert records(own_folder / "run").keys() == records(never_stopped).keys()
    again = start(f"{kind} --resume run", own_folder)
    assert again.returncode == 0, again.stderr
    other = start(f"{COMMANDS[kind]} --out other --devices 2 --device cpu", own_folder)
    assert other.returncode == 0, other.stderr
    assert records(own_folder / "other") == records(own_folder / "run")
    refused = start(f"{COMMANDS[kind]} --out run --devices 2 --device cpu", own_folder)
    assert refused.returncode == 2
    assert refused.stderr.count("autola: ") == 1
    assert "Traceback" not in refused.stderr


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="no CIFAR-10 at hand; AUTOLA_TEST_DATA names its parent")
def test_the_papers_search_runs_on_real_cifar10(own_folder):
    told = start(
        f"search cifar10 --data.root {CIFAR10} --data.limit 600 --searcher.epochs 1 "
        "--searcher.batch-size 64 --backbone cifar_resnet8 --out run",
        own_folder,
    )
    assert told.returncode == 0, told.stderr
    assert (own_folder / "run" / "genotype.json").exists()


def test_on_digits_no_attention_is_below_97_percent_and_hoga_not_below_plain(own_folder):
    table = autola.retrain("none", "se", "cbam", "hoga", preset="digits", out="run", seeds=(0, 1, 2))
    rows = {row.attention: row for row in table.rows}
    assert {name: row.mean for name, row in rows.items() if row.mean < 0.97} == {}
    shift, interval = rows["hoga"].difference(rows["none"])
    assert interval is not None
    assert shift + interval >= 0
