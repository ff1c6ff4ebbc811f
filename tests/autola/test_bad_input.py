"""What bad input gets, through the command line: a line or two, code 2, nothing written, nothing lost."""

import errno
import json
import os
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch
from PIL import Image

from autola import drive
from evaluators.train import Training
from foundation import files
from outputs.run_directory import RunDirectory
from searchers.searches.differentiable import DifferentiableSearch
from tests.autola.conftest import everything
from tests.autola.runs import RETRAIN, SEARCH, records, stop_at


def genotype(folder, **changes):
    """The genotype of a run, changed, in a file."""
    value = json.loads((folder / "genotype.json").read_text()) | changes
    path = folder.parent / "genotype.json"
    path.write_text(json.dumps(value))
    return path


def test_a_genotype_cut_short(found, refused):
    path = found / "genotype.json"
    path.write_text(path.read_text()[:200])
    assert "cut short or not JSON" in refused("retrain", f"hoga:{found}")


def test_a_genotype_of_another_version(found, refused):
    path = genotype(found, version=2)
    assert "is of version 2; this autola reads version 1" in refused("retrain", f"hoga:{path}")


def test_a_genotype_with_an_unknown_operator(found, refused):
    nodes = [{"name": "h1", "edges": [{"source": "x1", "operator": "SEE"}]}]
    path = genotype(found, nodes=nodes)
    assert "unknown operator 'SEE'; did you mean SE" in refused("inspect", str(path))
    assert "x1 -> h1" in refused("retrain", f"hoga:{path}")


def test_a_genotype_with_an_impossible_edge(found, refused):
    nodes = [{"name": "h1", "edges": [{"source": "h1", "operator": "SE"}]}]
    path = genotype(found, nodes=nodes)
    assert "impossible edge 'h1' -> h1: h1 reads x1" in refused("retrain", f"hoga:{path}")


def test_channels_that_do_not_divide(refused):
    assert "6 channels do not split into 4 equal groups" in refused("retrain hoga --width 6")


@pytest.fixture
def images(own_folder):
    for name in "ab":
        (own_folder / "images" / name).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(np.full((8, 8, 3), 40 * index, np.uint8)).save(
                own_folder / "images" / name / f"{index}.png"
            )
    return own_folder / "images"


FOLDER = "retrain none --data.name folder --data.root images"


@pytest.mark.parametrize("preset", ["coco-faster-rcnn", "coco-keypoints"])
def test_a_setting_of_the_recipe_that_the_task_does_not_use(preset, refused):
    assert "label_smoothing is " in refused(f"retrain none --preset {preset} --train.label-smoothing 0.1")


def test_a_data_folder_that_is_missing(refused):
    assert "no data at images" in refused(FOLDER)


def test_a_data_folder_that_is_empty(own_folder, refused):
    (own_folder / "images").mkdir()
    assert "images is empty; put the images there" in refused(FOLDER)


def test_a_class_without_images(images, refused):
    (images / "c").mkdir()
    assert "class 'c' in images has no images; add some or remove its folder" in refused(FOLDER)


def test_an_image_that_does_not_decode(images, refused):
    path = images / "b" / "2.png"
    path.write_bytes(path.read_bytes()[:40])
    assert "cannot decode b/2.png in images" in refused(FOLDER)


def test_fewer_images_than_a_batch(images, refused):
    assert "images do not fill a batch of 64; give a batch size of at most" in refused(FOLDER)


@pytest.mark.parametrize("command", [SEARCH, f"retrain none {RETRAIN}"])
def test_a_run_folder_that_exists(own_folder, refused, command):
    (own_folder / "run").mkdir()
    (own_folder / "run" / "precious").write_text("keep me")
    assert "run exists already; choose another --out, or go on with --resume run" in refused(
        command, "--out run"
    )


def test_a_run_folder_below_a_file(own_folder, refused):
    (own_folder / "file").touch()
    line = "cannot make the run folder file/run: file is a file, not a folder; choose another --out"
    assert line in refused(SEARCH, "--out file/run")


def test_folders_above_a_run_are_made(call, own_folder):
    assert call(SEARCH, "--out deep/down/run").code == 0
    assert (own_folder / "deep/down/run/weights.safetensors").exists()


@pytest.mark.parametrize("kind", ["search", "retrain"])
def test_a_run_that_another_process_writes(found, trained, refused, kind):
    run = found if kind == "search" else trained
    (run / ("result.json" if kind == "search" else "table.json")).unlink()
    code = (
        "import sys, filelock\nlock = filelock.FileLock(sys.argv[1])\n"
        "lock.acquire()\nprint('locked', flush=True)\ninput()"
    )
    command = [sys.executable, "-c", code, str(run / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert "another process is writing to" in refused(f"{kind} --resume {run}")
        process.communicate("\n")


def stopped(call, monkeypatch, own_folder, kind, step):
    """A run that was interrupted, with a checkpoint after every step."""
    monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", -1.0)
    job = DifferentiableSearch if kind == "search" else Training
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, job, step, KeyboardInterrupt())
        told = call(SEARCH if kind == "search" else f"retrain none {RETRAIN}", "--out run")
    assert told.code == 130
    run = own_folder / "run"
    return run, (run if kind == "search" else run / "none-seed0") / "checkpoints"


@pytest.mark.parametrize("kind", ["search", "retrain"])
def test_a_checkpoint_cut_short_gives_way_to_the_one_before(call, monkeypatch, own_folder, finished, kind):
    run, checkpoints = stopped(call, monkeypatch, own_folder, kind, 4)
    newest = checkpoints / "step-000000004.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    told = call(f"{kind} --resume run")
    assert told.code == 0
    assert "step-000000004.pt is cut short; using the checkpoint before it" in told.err
    assert "going on at step 3 of" in told.err
    whole, others = (
        records(finished[kind == "retrain"]),
        ("config.json", "environment.json", "table.json", "work.json"),
    )
    assert {name: whole[name] for name in records(run) if not name.endswith(others)} == {
        name: value for name, value in records(run).items() if not name.endswith(others)
    }


class Bomb:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_that_carries_code(call, monkeypatch, own_folder, refused, form):
    _, checkpoints = stopped(call, monkeypatch, own_folder, "search", 2)
    path = checkpoints / "step-000000009.pt"
    if form == "torch":
        torch.save({"job": Bomb(), "logged": 0}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    assert "code" in refused("search --resume run")
    assert not (own_folder / "exploded").exists()


def test_a_checkpoint_of_another_network(call, monkeypatch, own_folder, refused):
    stopped(call, monkeypatch, own_folder, "search", 2)
    config = own_folder / "run" / "config.json"
    config.write_text(config.read_text().replace('"width": 8', '"width": 16'))
    assert "run/config.json was edited since the run began" in refused("search --resume run")
    record = own_folder / "run" / "environment.json"  # version 0.1 had no digest there
    record.write_text(record.read_text().replace('"settings"', '"other"'))
    assert "the checkpoint of run does not fit its config.json" in refused("search --resume run")


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [("retrain", '"seeds": [', '"seeds": [7, '), ("search", '"seed": ', '"seed": 7')],
)
def test_an_edited_setting(call, monkeypatch, own_folder, refused, kind, before, after):
    stopped(call, monkeypatch, own_folder, kind, 2)
    config = own_folder / "run" / "config.json"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))
    assert "run/config.json was edited since the run began" in refused(f"{kind} --resume run")


@pytest.mark.parametrize("step", [10**9, -1, 0])
def test_a_checkpoint_of_an_impossible_step(call, monkeypatch, own_folder, refused, step):
    _, checkpoints = stopped(call, monkeypatch, own_folder, "retrain", 2)
    newest = checkpoints / "step-000000002.pt"
    state = torch.load(newest, weights_only=True)
    state["job"]["step"] = step
    torch.save(state, newest)
    assert f"is of step {step}, and the job has 6; start again" in refused("retrain --resume run")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("environment.json", "[1]", "environment.json holds no JSON object"),
        ("environment.json", '{"num_threads": "two"}', "num_threads is 'two'; give a number from 1"),
        ("data.json", '"no"', "data.json holds no JSON object"),
        ("result.json", '{"gen', "result.json is cut short or not JSON"),
    ],
)
def test_a_record_of_another_shape(call, monkeypatch, own_folder, refused, name, content, message):
    run, checkpoints = stopped(call, monkeypatch, own_folder, "search", 2)
    (run / name).write_text(content)
    assert message in refused("search --resume run")
    assert list(checkpoints.iterdir())


def test_runs_that_start_at_once_take_the_next_free_number(call, monkeypatch, own_folder):
    real = RunDirectory.create.__func__

    def create(cls, path, *given):
        if path.name.endswith("-1"):
            path.mkdir(parents=True)  # another process was faster by a moment
        return real(cls, path, *given)

    monkeypatch.setattr(RunDirectory, "create", classmethod(create))
    assert call(SEARCH).code == 0
    assert (own_folder / "outputs/runs/search-digits-2/result.json").exists()


def test_a_config_with_an_unknown_key(found, trained, refused):
    for run, kind in ((found, "search"), (trained, "retrain")):
        value = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(value | {"colour": "red"}))
        assert "config.json: colour: unknown key" in refused(f"{kind} --resume {run}")
        (run / "config.json").write_text("[]")
        assert "config.json holds no settings" in refused(f"{kind} --resume {run}")
        (run / "config.json").write_text('{"da')
        assert "cut short or not JSON" in refused(f"{kind} --resume {run}")


def test_a_run_of_the_other_kind(found, trained, refused):
    assert f"{found} is a search, not a retraining" in refused(f"retrain --resume {found}")
    assert f"{trained} is a retraining, not a search" in refused(f"search --resume {trained}")


def test_one_training_of_a_retraining(trained, refused):
    line = refused(f"retrain --resume {trained}/none-seed0")
    assert line.endswith(f"is one training of a retraining; go on with --resume {trained}\n")


SEARCH_RATE = "--searcher.learning-rate 1e30 --searcher.clip 0"
RETRAIN_RATE = "--train.learning-rate 1e30 --train.warmup-epochs 0"


@pytest.mark.parametrize("command", [f"{SEARCH} {SEARCH_RATE}", f"retrain none {RETRAIN} {RETRAIN_RATE}"])
def test_a_rate_that_breaks_the_loss(call, command):
    told = call(command, "--out run")
    assert told.code == 2
    last = told.err.splitlines()[-1]
    assert last.startswith("autola: the ")
    assert "not finite" in last
    assert "step " in last
    assert "(learning rate 1e+30); start again with a lower learning rate or gradient clipping" in last


@pytest.mark.parametrize("kind", ["search", "retrain"])
@pytest.mark.parametrize("step", [4, 5])
def test_a_loss_that_breaks_later_leaves_the_last_good_checkpoint(call, monkeypatch, own_folder, kind, step):
    job = DifferentiableSearch if kind == "search" else Training
    per_epoch = 3
    real = job.advance

    def advance(self):
        if self.step == step:
            weights = self.supernet if kind == "search" else self.task.model
            next(weights.parameters()).data.fill_(float("nan"))
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "advance", advance)
        told = call(SEARCH if kind == "search" else f"retrain none {RETRAIN}", "--out run")
    assert told.code == 2
    assert f"the loss is not finite at step {step} (learning rate 0." in told.err.splitlines()[-1]
    folder = own_folder / "run" / ("" if kind == "search" else "none-seed0") / "checkpoints"
    assert [path.name for path in folder.iterdir()] == [f"step-{per_epoch:09d}.pt"]
    assert call(f"{kind} --resume run").code == 0


def test_no_space_for_a_new_run(refused, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = refused(SEARCH, "--out run")
    assert "no space left on the disk for the run folder run; nothing of it is kept" in said


@pytest.mark.parametrize("kind", ["search", "retrain"])
def test_no_space_for_a_checkpoint(call, monkeypatch, own_folder, finished, kind):
    real, made = tempfile.mkstemp, []

    def full(prefix="", suffix="", dir=None):
        if not prefix.startswith(".step-000000006"):
            return real(prefix=prefix, suffix=suffix, dir=dir)
        made.append(os.path.join(str(dir), f"{prefix}full{suffix}"))
        os.symlink("/dev/full", made[-1])
        return os.open(os.devnull, os.O_RDONLY), made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.tempfile, "mkstemp", full)
        told = call(SEARCH if kind == "search" else f"retrain none {RETRAIN}", "--out run")
    assert told.code == 2
    assert made
    last = told.err.splitlines()[-1]
    assert last.startswith("autola: no space left on the disk for ")
    assert last.endswith("what was complete is kept: free some space and --resume the run")
    assert call(f"{kind} --resume run").code == 0
    run = own_folder / "run" / ("" if kind == "search" else "none-seed0")
    whole = finished[0] if kind == "search" else finished[1] / "none-seed0"
    assert (run / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_nothing_changes_where_a_complete_run_is_resumed(call, found, trained):
    for run, kind in ((found, "search"), (trained, "retrain")):
        before = everything(run)
        told = call(f"{kind} --resume {run}")
        assert told.code == 0
        assert f"{run} is complete" in told.err
        assert everything(run) == before
