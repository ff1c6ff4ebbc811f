"""Trainings side by side: the same to the bit as one after another, and what stops one stops all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import autola
from autola.member import Member
from foundation.errors import InputError
from outputs.run_directory import RunDirectory
from search_space.operator import OPERATORS
from tests.autola.runs import RETRAIN, records

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_jobs_side_by_side_end_the_same_to_the_bit(call, own_folder, finished):
    told = call(f"retrain none hoga {RETRAIN} --out run --jobs 2")
    assert told.code == 0
    assert "2 side by side" in told.err
    assert told.err.count("-seed0: test accuracy") == 2
    assert records(own_folder / "run") == records(finished[1])


def test_what_no_process_can_train_is_not_begun(call, trained, monkeypatch):
    monkeypatch.setattr(workers, "Popen", lambda *given, **more: pytest.fail("nothing is left"))
    (trained / "table.json").unlink()
    told = call(f"retrain --resume {trained} --jobs 2")
    assert told.code == 0
    assert "test accuracy" in told.out


@pytest.mark.parametrize("jobs", ["0", "65", "-1"])
def test_a_number_of_jobs_beyond_reason_is_refused(refused, jobs):
    assert f"jobs is {jobs}; give a number from 1 to 64" in refused(f"retrain none --jobs {jobs} --out run")


def test_jobs_and_several_devices_for_each_are_refused(refused):
    assert "several devices" in refused("retrain none se --jobs 2 --devices 2 --out run")


def test_jobs_are_refused_in_a_group_of_processes(refused, monkeypatch):
    for name, value in (("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_NTASKS_PER_NODE", "2")):
        monkeypatch.setenv(name, value)
    assert "2 processes share each training" in refused("retrain none se --jobs 2 --out run")


def test_what_a_script_registered_itself_is_refused(own_folder):
    recipe = OPERATORS["squeeze_excite" if "squeeze_excite" in OPERATORS else "se"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPERATORS._entries, "mine", recipe)
        patch.setitem(OPERATORS._homes, "mine", "__main__")
        with pytest.raises(InputError, match="--jobs cannot import"):
            autola.retrain("none", "mine", jobs=2, out=own_folder / "run")
    assert not (own_folder / "run").exists()


def test_gpus_are_taken_in_turn(monkeypatch):
    monkeypatch.setattr(workers.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    taken = [workers._environment(number, gpus=True)["CUDA_VISIBLE_DEVICES"] for number in range(3)]
    assert taken == ["3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert workers._environment(3, gpus=True)["CUDA_VISIBLE_DEVICES"] == "1"


STAND_IN = """
import json, os, signal, sys
for line in sys.stdin:
    number = line.partition('-')[0]
    print(json.dumps({"epoch": 1}), flush=True)
    %s
    print(json.dumps({"done": True}), flush=True)
"""


@pytest.fixture
def stand_ins(monkeypatch):
    """Workers that train nothing: what they do instead of it is told by the test."""
    real, started = subprocess.Popen, []

    def use(action):
        def start(command, **options):
            started.append(real([command[0], "-c", STAND_IN % action], **options))
            return started[-1]

        monkeypatch.setattr(workers, "Popen", start)
        return started

    return use


MEMBERS = [Member(number, seed, f"{number}-seed{seed}") for number in (0, 1) for seed in (0, 1)]


def test_a_process_that_is_killed_is_told_in_a_line_and_ends_the_others(stand_ins, tmp_path):
    started = stand_ins("if number == '1': os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(InputError, match=r"1-seed\d: .* ended \(signal 9.*--resume .* goes on"):
        workers.train_in_workers(tmp_path, MEMBERS, 1, 2, [], gpus=False)
    assert all(process.poll() is not None for process in started)


def test_an_error_in_a_process_is_its_line(stand_ins, tmp_path):
    started = stand_ins("print(json.dumps({'error': 'the disk is full'}), flush=True)")
    with pytest.raises(InputError, match=r"^the disk is full$"):
        workers.train_in_workers(tmp_path, MEMBERS, 1, 2, [], gpus=False)
    assert all(process.poll() is not None for process in started)


def test_every_member_is_handed_out_once(stand_ins, tmp_path):
    done = tmp_path / "done"
    stand_ins(f"open({str(done)!r}, 'a').write(line)")
    workers.train_in_workers(tmp_path, MEMBERS, 1, 3, [], gpus=False)
    assert sorted(done.read_text().splitlines()) == ["0-seed0", "0-seed1", "1-seed0", "1-seed1"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_process_that_started_it(own_folder, finished, number, code):
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    # Long, so that it is under way when it is stopped.
    command = f"retrain none hoga {RETRAIN} --train.epochs 100000 --out run --jobs 2"
    with subprocess.Popen([sys.executable, "-m", "autola", *command.split()], env=known) as process:
        metrics = [own_folder / "run" / f"{name}-seed0" / "metrics.jsonl" for name in ("none", "hoga")]
        while not all(path.exists() for path in metrics):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait() == code
    time.sleep(1.0)
    for path in metrics:
        RunDirectory(path.parent).lock().unlock()  # nobody writes any more
