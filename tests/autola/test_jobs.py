"""Trainings by workers: the same to the bit as one after another, whoever dies, fails or is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import autola
from autola.executors import here
from autola.working import processes
from autola.working.worklist import WorkList
from evaluators.train import Training
from foundation.errors import InputError
from outputs.run_directory import LockedError, RunDirectory
from search_space.operator import OPERATORS
from tests.autola.runs import RETRAIN, records, stop_at

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_jobs_side_by_side_end_the_same_to_the_bit(call, own_folder, finished):
    told = call(f"retrain none hoga {RETRAIN} --out run --jobs 2")
    assert told.code == 0
    assert "2 side by side" in told.err
    assert told.err.count("-seed0: test accuracy") == 2
    assert records(own_folder / "run") == records(finished[1])


def test_what_no_process_can_train_is_not_begun(call, trained, monkeypatch):
    monkeypatch.setattr(processes, "Process", lambda *given, **more: pytest.fail("nothing is left"))
    (trained / "table.json").unlink()
    told = call(f"retrain --resume {trained} --jobs 2")
    assert told.code == 0
    assert "test accuracy" in told.out


@pytest.mark.parametrize("jobs", ["0", "65", "-1"])
def test_a_number_of_jobs_beyond_reason_is_refused(refused, jobs):
    assert f"jobs is {jobs}; give a number from 1 to 64" in refused(f"retrain none --jobs {jobs} --out run")


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("hear:2", "unknown place to run 'hear'; did you mean here?"),
        ("here:0", "--on here:0: give a number of processes from 1 to 64"),
        ("here:two", "--on here:two: give a number of processes"),
        ("here:2 --jobs 2", "--jobs 2 is short for --on here:2, and --on says here:2; leave one out"),
        ("ray://nowhere", "--on ray://nowhere: give an address as ray://HOST:PORT"),
        ("ray:cores=2", "--on ray: cannot read 'cores=2'; options are cpus, gpus, workers"),
        ("slurm:time=an-hour", "--on slurm: time is 'an-hour'; give a number from 1"),
        ("slurm:time=1", "time is 1 minutes, and a job stops 90 seconds before its end; give at least 4"),
        ("slurm:cluster=mine", "--on slurm: cluster is 'mine'; give slurm, local"),
    ],
)
def test_a_place_that_is_none_is_refused(refused, on, message):
    assert message in refused(f"retrain none --out run --on {on}")


def test_one_search_has_nothing_for_workers(refused):
    assert "this is one search" in refused("search digits --on here:2 --out run")


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
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    taken = [here.environment_of(place, gpus=True)["CUDA_VISIBLE_DEVICES"] for place in range(3)]
    assert taken == ["3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert here.environment_of(3, gpus=True)["CUDA_VISIBLE_DEVICES"] == "1"


def test_what_fails_is_set_aside_and_the_table_says_so(call, own_folder, finished):
    real = Training.advance

    def advance(job: Training) -> None:
        if any("attention" in name for name, _ in job.task.model.named_modules()):
            raise InputError("the loss is not finite")
        real(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "advance", advance)
        told = call(f"retrain none hoga {RETRAIN} --out run")
    assert told.code == 1
    assert "missing hoga-seed0, set aside: the loss is not finite" in told.out
    assert [line.split()[0] for line in told.out.splitlines()][1:2] == ["none"]
    assert call("status run").out.splitlines()[1].startswith("set aside  hoga-seed0: the loss is not finite")
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])


def test_ctrl_c_writes_a_checkpoint_of_the_very_step(call, own_folder, finished):
    real = Training.advance

    def advance(job: Training) -> None:
        real(job)
        if job.step == 2:  # of 3 an epoch
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "advance", advance)
        told = call(f"retrain none hoga {RETRAIN} --out run")
    assert told.code == 130
    assert "what was recorded is kept" in told.err
    assert [path.name for path in (own_folder / "run/none-seed0/checkpoints").iterdir()] == [
        "step-000000002.pt"
    ]
    told = call("retrain --resume run")
    assert "none-seed0: going on at step 2 of 6" in told.err
    assert records(own_folder / "run") == records(finished[1])


def test_others_help_with_a_run_and_with_one_training_of_it(call, refused, own_folder, finished):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 4, KeyboardInterrupt())
        assert call(f"retrain none hoga {RETRAIN} --out run").code == 130
    known = json.loads(call("status run --json").out)
    assert (known["items"], known["done"], known["waiting"], known["running"]) == (2, 0, 2, [])
    told = call("work run/none-seed0")
    assert told.code == 0, told.err
    assert "going on at step 3 of 6" in told.err
    told = call("work run")
    assert told.code == 0, told.err
    assert told.out == "2 of 2 done; autola retrain --resume run concludes\n"
    assert "none-seed0" not in told.err
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])
    told = call("status run").out.splitlines()
    assert told == ["run  2 items: 2 done, 0 running, 0 waiting, 0 set aside", "all is done and concluded"]
    (own_folder / "run" / "table.json").unlink()
    assert call("status run").out.splitlines()[-1].startswith("nothing is left; autola retrain --resume run")


def test_an_item_that_was_taken_out_of_its_run_says_all(call, own_folder, finished):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 0, KeyboardInterrupt())
        assert call(f"retrain none hoga {RETRAIN} --out run").code == 130
    shutil.copytree(own_folder / "run/hoga-seed0", own_folder / "alone")
    assert call("work alone").code == 0
    assert records(own_folder / "alone") == records(finished[1] / "hoga-seed0")


def test_a_machine_with_other_versions_is_refused_before_it_does_anything(call, refused, own_folder, trained):
    shutil.rmtree(trained / "hoga-seed0" / "work")
    path = trained / "work.json"
    listed = json.loads(path.read_text())
    path.write_text(json.dumps(listed | {"versions": {**listed["versions"], "torch": "1.0"}}))
    line = refused(f"work {trained}")
    assert line.startswith("autola: torch 2.")
    assert ", not 1.0: give all machines the versions" in line


def test_folders_without_work_are_refused(refused, found, own_folder):
    assert "is one job, without a list of work; autola report" in refused(f"work {found}")
    assert "nowhere is not there; name that of a run" in refused("status nowhere")
    (own_folder / "file").touch()
    assert "file is no folder; name that of a run" in refused("status file")
    (own_folder / "empty").mkdir()
    assert "has no list of work" in refused("status empty")
    (own_folder / "advice/search").mkdir(parents=True)
    (own_folder / "advice/search/config.json").write_text("{}")
    assert "name one of the runs in it: search" in refused("status advice")
    (own_folder / "run/none-seed0/work").mkdir(parents=True)
    (own_folder / "run/none-seed0/work/item.json").write_text("{}")
    assert f"is one item of a list; name the run: {own_folder / 'run'}" in refused("status run/none-seed0")
    assert "one item is done by one process to its end" in refused("work run/none-seed0 --minutes 5")
    assert "one item is done by one process to its end" in refused("work run/none-seed0 --jobs 2")
    assert "--seconds goes with --watch" in refused("status run --seconds 5")
    assert "name the folder of a run" in refused("work")


def unlocked(folder: Path, seconds: float) -> None:
    """Waits until nobody has a run folder locked."""
    until = time.monotonic() + seconds
    while True:
        try:
            RunDirectory(folder).lock().unlock()
            return
        except LockedError:
            assert time.monotonic() < until, f"somebody still writes to {folder}"
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
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
    for path in metrics:
        unlocked(path.parent, seconds=30)  # nobody writes any more
    assert all(seen.state == "waiting" for seen in WorkList(own_folder / "run").all())
