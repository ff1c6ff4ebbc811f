"""What the doctor sees: an installation, folders of data, runs; and how it ends."""

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from autola import installation
from autola.diagnosis import diagnose
from evaluators.tasks import TASKS, TaskConfig
from foundation.errors import InputError


def classes(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / name / "0.png")


def coco(folder: Path, kind: str) -> None:
    (folder / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        (folder / "annotations" / f"{kind}_{part}.json").write_text("{}")
        (folder / part).mkdir()
        Image.new("RGB", (8, 8)).save(folder / part / "0.jpg")


def sentences(folder: Path) -> None:
    folder.mkdir()
    for name in ("train.de", "train.en", "test.de", "test.en"):
        (folder / name).write_text("Hund\n")


def scenes(folder: Path) -> None:
    for name in ("train", "trainannot", "val", "valannot"):
        (folder / name).mkdir(parents=True)


def parts(folder: Path) -> None:
    classes(folder / "train")
    classes(folder / "val")


@pytest.mark.parametrize(
    ("make", "served"),
    [
        (classes, {"classification"}),
        (parts, {"classification", "imagenet"}),
        (lambda folder: coco(folder, "instances"), {"coco-detection"}),
        (lambda folder: coco(folder, "person_keypoints"), {"coco-keypoints"}),
        (scenes, {"segmentation"}),
        (sentences, {"translation"}),
        (lambda folder: (folder / "cifar-10-batches-py").mkdir(parents=True), {"classification"}),
    ],
)
def test_a_folder_serves_the_tasks_that_read_it(make, served, tmp_path) -> None:
    make(tmp_path / "data")
    (root,) = diagnose([tmp_path / "data"]).roots
    assert set(root.serves) == served
    assert set(root.problems) == set(TASKS) - served
    for problem in root.problems.values():
        assert problem


def test_a_layout_that_is_seen_is_read(tmp_path) -> None:
    classes(tmp_path / "data")
    assert "2 classes" in TASKS["classification"].look(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "dog")
    with pytest.raises(InputError, match="it takes two"):
        TASKS["classification"].look(tmp_path / "data")


def test_all_is_well(call, tmp_path) -> None:
    parts(tmp_path / "data")
    told = call("doctor", str(tmp_path / "data"), "--tasks imagenet classification --json")
    assert (told.code, told.err) == (0, "")
    found = json.loads(told.out)
    assert found["ready"] is True
    assert found["problems"] == []
    assert found["tasks"]["imagenet"]["data"] == [str(tmp_path / "data")]
    versions = {package["name"]: package["version"] for package in found["packages"]}
    assert versions["torch"] == metadata.version("torch")
    assert 0 < found["free_memory_bytes"] <= found["memory_bytes"]


def test_a_task_that_lacks_something_ends_with_1_and_says_what_mends_it(call, monkeypatch) -> None:
    real = installation.installed
    monkeypatch.setattr(
        installation, "installed", lambda name: None if name == "faster-coco-eval" else real(name)
    )
    told = call("doctor --tasks coco-detection")
    assert told.code == 1
    assert "lacks  coco-detection" in told.out
    assert "pip install 'autola[coco]'" in told.out
    assert "autola doctor FOLDER" in told.out
    assert call("doctor").code == 0  # nobody asked for it


def test_a_task_that_does_not_say_what_it_reads_is_not_looked_at(call, tmp_path) -> None:
    classes(tmp_path / "data")
    with TASKS.lent("mine", type("Mine", (TaskConfig,), {"name": "mine"})):
        told = call("doctor", str(tmp_path / "data"), "--tasks mine")
        assert told.code == 0
        assert told.out.splitlines()[-1].split()[:4] == ["maybe", "mine", "its", "data"]
        assert "FOLDER" not in told.out
        assert diagnose([tmp_path / "data"]).tasks["mine"].looked is False
        own = type("Mine", (TaskConfig,), {"name": "mine", "own_data": "dice"})
    with TASKS.lent("mine", own):
        assert "ready  mine" in call("doctor --tasks mine").out


def test_an_old_package_is_a_problem_of_every_job(call, monkeypatch) -> None:
    real = installation.installed
    monkeypatch.setattr(installation, "installed", lambda name: "2.0" if name == "torch" else real(name))
    told = call("doctor")
    assert told.code == 1
    assert "torch is 2.0: pip install 'torch>=" in told.out


def test_data_that_runs_read_are_looked_at(call, tmp_path) -> None:
    classes(tmp_path / "data")
    for name, data in (("here", tmp_path / "data"), ("gone", tmp_path / "gone")):
        run = Path("outputs/runs") / name
        run.mkdir(parents=True)
        (run / "config.json").write_text(json.dumps({"data": {"name": "folder", "root": str(data)}}))
    (Path("outputs/runs") / "here" / "other.json").write_text("not read")
    told = call("doctor")
    assert told.code == 0
    assert f"{tmp_path / 'data'}  (read by here)" in told.out
    assert "nothing is there any more" in told.out


def test_folders_that_are_not_there_or_of_no_use(call, refused, tmp_path) -> None:
    assert "no data at nowhere" in refused("doctor nowhere")
    assert "unknown task 'imagnet'" in refused("doctor --tasks imagnet")
    (tmp_path / "notes.txt").touch()
    told = call("doctor", str(tmp_path / "notes.txt"))
    assert (told.code, told.out.count(str(tmp_path)), told.out.count("not for ")) == (1, 1, 0)
    assert "for no task: it is a file, and neither a folder nor a tar" in told.out
    empty = tmp_path / "empty"
    empty.mkdir()
    told = call("doctor", str(empty))
    assert told.code == 1
    assert told.out.count("not for ") == len(TASKS)


def test_every_extra_is_explained() -> None:
    _, extras = installation.requirements()
    assert set(extras) == set(installation.USES)
    assert {kind.extra for _, kind in TASKS.items()} <= {None, *extras}
