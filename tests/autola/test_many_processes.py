"""Several processes: the same weights as one, one line of error, records of one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autola import group, speaking
from autola.configs import DeviceConfig
from autola.runtime import make_fabric, started_processes
from foundation.errors import InputError
from outputs.records import WEIGHTS
from outputs.weights import load_weights
from tests.equality import assert_equal
from tests.evaluators.pictures import write_pictures

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "autola")

EXACT = "--device cpu --precision 64-true --train.norm frozen --train.epochs 3 --seeds 0 --threads 1"
DIGITS = f"retrain none se --data.limit 100 --width 8 --data.padding 0 --train.batch-size 10 {EXACT}"
PICTURES = (
    "retrain none se --preset imagenet --data.root pictures --backbone resnet18 --image-size 24 "
    f"--resize 28 --no-augment --workers 0 --train.batch-size 4 --train.schedule cosine "
    f"--train.learning-rate 0.01 {EXACT}"
)


def start(command, cwd, program=("-m", "autola")):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *program, *command.split()], cwd=cwd, env=environment, capture_output=True, text=True
    )


def weights(folder):
    return {
        member.name: load_weights(member / WEIGHTS) for member in sorted(folder.iterdir()) if member.is_dir()
    }


def results(folder):
    return [json.loads(path.read_text())["metrics"] for path in sorted(folder.glob("*/result.json"))]


def assert_same(one, other):
    """Equal weights and figures of two retrainings, up to the rounding of float64."""
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys() == {"none-seed0", "se-seed0"}
    for name in ours:
        assert_equal(ours[name], theirs[name])
    for mine, yours in zip(results(one), results(other)):
        assert mine == pytest.approx(yours, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("command", [DIGITS, PICTURES], ids=["digits", "pictures"])
def test_two_processes_train_to_the_weights_of_one_and_evaluate_the_same(own_folder, command):
    write_pictures(own_folder / "pictures", each=5)
    for name, devices, program in (
        ("one", "", ("-m", "autola")),
        ("fabric", " --devices 2", ("-m", "autola")),
        ("torchrun", "", TORCHRUN),
    ):
        told = start(f"{command} --out {name}{devices}", own_folder, program)
        assert told.returncode == 0, told.stderr
        assert told.stdout.count(f"run    {name}") == 1
    assert_same(own_folder / "one", own_folder / "fabric")
    assert_same(own_folder / "one", own_folder / "torchrun")


STOPPED = """
import sys
from autola import drive
from autola.cli import main
from evaluators.train import Training
real = Training.advance
def advance(self):
    if self.step == 7:
        raise KeyboardInterrupt
    real(self)
Training.advance = advance
drive.CHECKPOINT_SECONDS = -1.0
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["torchrun", "--devices 2"])
def test_a_run_of_one_process_goes_on_with_two_and_back(own_folder, kept):
    whole = start(f"{DIGITS} --out whole", own_folder)
    assert whole.returncode == 0, whole.stderr
    assert start(f"{DIGITS} --out run", own_folder, ("-c", STOPPED)).returncode == 130
    if kept == "torchrun":
        told = start("retrain --resume run", own_folder, TORCHRUN)
    else:
        told = start(f"retrain --resume run {kept}", own_folder)
    assert told.returncode == 0, told.stderr
    assert "going on at step 7" in told.stderr
    assert_same(own_folder / "whole", own_folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words", "problem"),
    [
        ("", "--train.batch-size 15", "a batch of 15 images does not split evenly over 2 processes"),
        ("train", "", "cannot read pictures/train/c/0.jpg"),
        ("val", "", "cannot read pictures/val/c/0.jpg"),
    ],
    ids=["batch", "training picture", "test picture"],
)
@pytest.mark.parametrize("program", [("-m", "autola"), TORCHRUN], ids=["fabric", "torchrun"])
def test_one_process_tells_of_an_error_and_all_end(own_folder, program, spoil, words, problem):
    write_pictures(own_folder / "pictures", each=5)
    if spoil:
        path = own_folder / "pictures" / spoil / "c" / "0.jpg"
        path.write_bytes(path.read_bytes()[:-200])
    devices = "" if program == TORCHRUN else "--devices 2"
    told = start(f"{PICTURES} {words} --out run {devices}", own_folder, program)
    assert told.returncode == (1 if program == TORCHRUN else 2), told.stderr
    assert told.stderr.count("autola: ") == 1, told.stderr
    assert problem in told.stderr
    assert not re.search(r'File ".*/(autola|evaluators)/', told.stderr), "a traceback"


@pytest.mark.parametrize(
    ("known", "asked", "started"),
    [
        ({}, (3, 1), (3, 1)),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "0"}, (3, 2), (3, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}, (1, 1), (4, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}, (4, 2), (4, 2)),
        ({"SLURM_NTASKS": "1"}, (1, 1), (1, 1)),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_NAME": "interactive"}, (2, 1), (2, 1)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}, (1, 1), (3, 2)),
    ],
)
def test_torchrun_and_slurm_say_how_many_processes_there_are(monkeypatch, known, asked, started):
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    assert started_processes(*asked) == started


@pytest.mark.parametrize(
    ("known", "asked", "problem"),
    [
        ({}, (1, 2), "2 machines do not find each other without MASTER_ADDR, MASTER_PORT, NODE_RANK; start"),
        ({"MASTER_ADDR": "a", "NODE_RANK": "0"}, (1, 2), "each other without MASTER_PORT; start"),
        ({"SLURM_NTASKS": "8"}, (1, 1), "Slurm started 8 tasks; say how many on each machine"),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}, (2, 1), "started 4, and --devices says 2"),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}, (4, 3), "started 2, and --machines says 3"),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "5", "LOCAL_WORLD_SIZE": "3"},
            (1, 1),
            "torchrun started 5 processes, which is not 3 on every machine",
        ),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(monkeypatch, known, asked, problem):
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=problem):
        started_processes(*asked)


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 devices are asked for; there are 1"):
        make_fabric(DeviceConfig(device="gpu", devices=2))
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    with pytest.raises(InputError, match="4 devices are asked for; there are 1"):
        make_fabric(DeviceConfig(device="gpu"))


def test_half_precision_of_16_bits_needs_a_gpu():
    with pytest.raises(InputError, match="16-mixed needs a GPU; choose --precision bf16-mixed"):
        make_fabric(DeviceConfig(device="cpu", precision="16-mixed"))


OF_TORCHRUN = {"WORLD_SIZE": "8", "LOCAL_RANK": "0", "MASTER_ADDR": "host"}


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({"RANK": "1"}, "RANK without WORLD_SIZE"),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"},
            "RANK and WORLD_SIZE and LOCAL_RANK without MA",
        ),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK without MASTER_ADDR"),
        ({"TORCHELASTIC_RUN_ID": "x"}, "TORCHELASTIC_RUN_ID without RANK"),
        ({"SLURM_NTASKS": "x", "SLURM_PROCID": "0"}, "SLURM_NTASKS='x' is no number"),
        ({"SLURM_NTASKS": "2"}, "SLURM_NTASKS without SLURM_PROCID"),
        (
            {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_NTASKS_PER_NODE": "0"},
            "PER_NODE='0' is no number",
        ),
        ({**OF_TORCHRUN, "RANK": "-1"}, "RANK='-1' is no number"),
        ({**OF_TORCHRUN, "RANK": "8"}, "RANK=8 is not below WORLD_SIZE=8"),
        ({**OF_TORCHRUN, "RANK": "0", "MASTER_PORT": "x"}, "MASTER_PORT='x' is no number"),
    ],
)
def test_variables_that_make_no_group_are_named(monkeypatch, known, line):
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=line):
        make_fabric(DeviceConfig(device="cpu"))


@pytest.mark.parametrize(
    ("known", "follows"),
    [
        ({}, False),
        ({**OF_TORCHRUN, "RANK": "0"}, False),
        ({**OF_TORCHRUN, "RANK": "4"}, True),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "host"}, True),
        ({"NODE_RANK": "1", "MASTER_ADDR": "host"}, True),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, True),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, False),
        # Left over or malformed: no group, so this process speaks.
        ({"RANK": "1"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "x"}, False),
        ({**OF_TORCHRUN, "RANK": "8"}, False),
    ],
)
def test_the_first_process_of_the_first_machine_speaks(monkeypatch, known, follows):
    for name in (*group.TORCHRUN, *group.SLURM, *group.BY_HAND, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    assert speaking.follows() is follows
    assert speaking.reports() is not follows
    assert not speaking.another_failed()


PLACES = (
    "search imagenet --import benchmarks.narrow_resnet --data.root pictures --backbone narrow_resnet "
    "--image-size 32 --resize 36 --weights None --workers 0 --primitives none se eca --searcher.epochs 4 "
    "--searcher.batch-size 2 --norm frozen --precision 64-true --device cpu --threads 1"
)


@pytest.mark.slow
def test_two_processes_search_placements_as_one_does(own_folder):
    write_pictures(own_folder / "pictures", each=5)
    for name, devices in (("one", ""), ("two", " --devices 2")):
        told = start(f"{PLACES} --out {name}{devices}", own_folder)
        assert told.returncode == 0, told.stderr
    one, two = (own_folder / name for name in ("one", "two"))
    assert (one / "placement.json").read_bytes() == (two / "placement.json").read_bytes()
    assert_equal(load_weights(two / WEIGHTS), load_weights(one / WEIGHTS))
