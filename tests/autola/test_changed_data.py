"""A run that goes on is held against what it recorded of its data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autola import trial
from autola.api import changed
from autola.configs import RetrainConfig
from autola.data_record import absolute, check_data, found_data
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from autola.problem import search_problem
from evaluators.data.coco import CocoData
from evaluators.data.listing import Listing, recorded
from evaluators.recipe import TrainConfig
from evaluators.tasks import TaskConfig
from evaluators.tasks.coco_detection import CocoDetection
from evaluators.tasks.imagenet import ImageNet, ImageNetData
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.segmentation import Segmentation
from evaluators.tasks.segmentation.data import SceneData
from evaluators.train import Training
from foundation.config import to_json
from foundation.errors import InputError
from outputs.run_directory import RunDirectory
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.trained import TrainedSearch
from tests.autola.conftest import Call, Refused
from tests.autola.runs import stop_at
from tests.evaluators.coco_squares import write_squares
from tests.evaluators.dense import fabric, store_people, write_people, write_scenes
from tests.evaluators.pictures import write_pictures

FOLDER = "--data.name folder --data.root photos --data.limit 100 --width 8"
SEARCH = f"search digits {FOLDER} --backbone cifar_resnet8 --num-nodes 2 --searcher.epochs 2"
SEARCH += " --searcher.batch-size 4"
RETRAIN = f"retrain none {FOLDER} --backbone cifar_resnet8 --train.epochs 2 --train.batch-size 4"
RETRAIN += " --train.warmup-epochs 0 --seeds 0 1"
Change = Callable[[], None]
JOBS = {"search": (SEARCH, DifferentiableSearch), "retrain": (RETRAIN, Training)}


def picture(path: Path, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(side + len(path.parent.name) + sum(path.name.encode()))
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def photos(own_folder: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(10):
            picture(own_folder / "photos" / name / f"{number}.png")
    return own_folder / "photos"


def stopped(call: Call, command: str, step: int = 1) -> None:
    line, job = JOBS[command]
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, job, step, KeyboardInterrupt())
        assert call(line, "--out run").code == 130


def add(photos: Path) -> None:
    picture(photos / "dog" / "new.png")


def rename(photos: Path) -> None:
    (photos / "dog").rename(photos / "wolf")


def replace_by_another_size(photos: Path) -> None:
    path = photos / "cat" / "3.png"
    Image.open(path).quantize(4).convert("RGB").save(path)


def repaint(photos: Path) -> None:
    """Other pixels in a file of the same name and size: the mean tells."""
    path = photos / "cat" / "3.bmp"
    size = path.stat().st_size
    Image.new("RGB", (8, 8), "white").save(path)
    assert path.stat().st_size == size


def swap(photos: Path) -> None:
    os.rename(photos / "cat" / "1.png", photos / "dog" / "cat1.png")


CHANGES = [
    (add, "images of class dog: 11 now, 10 when this run began"),
    (rename, "images of class dog: 0 now, 10 when this run began; images of class wolf: 10 now, 0 when"),
    (replace_by_another_size, "names and sizes of the files: others now than when this run began"),
    (swap, "images of class cat: 9 now, 10 when this run began; images of class dog: 11 now, 10 when"),
]


@pytest.mark.parametrize("command", JOBS)
def test_changed_data_are_named_and_refused(
    call: Call, refused: Refused, photos: Path, own_folder: Path, command: str
) -> None:
    stopped(call, command)
    for change, told in CHANGES:
        shutil.copytree(photos, own_folder / "before")
        change(photos)
        refusal = refused(f"{command} --resume run")
        assert f"the data of run changed: {told}" in refusal
        assert "config.json" not in refusal
        shutil.rmtree(photos)
        (own_folder / "before").rename(photos)
    assert call(f"{command} --resume run").code == 0


def test_other_pixels_under_the_same_name_and_size(call: Call, refused: Refused, photos: Path) -> None:
    Image.open(photos / "cat" / "3.png").save(photos / "cat" / "3.bmp")
    stopped(call, "search")
    repaint(photos)
    assert "mean: " in refused("search --resume run")


@pytest.mark.parametrize("command", JOBS)
def test_a_run_goes_on_from_another_folder(
    call: Call, photos: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stopped(call, command)
    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir(own_folder / "elsewhere")
    assert call(f"{command} --resume ../run").code == 0
    for config in (own_folder / "run").rglob("config.json"):
        assert str(photos) in config.read_text()


@pytest.mark.parametrize("command", JOBS)
def test_a_folder_that_moved_is_named(
    call: Call, refused: Refused, photos: Path, own_folder: Path, command: str
) -> None:
    stopped(call, command)
    moved = shutil.move(photos, own_folder / "moved")
    refusal = refused(f"{command} --resume run")
    assert f"no data at {photos}" in refusal
    assert "--resume run --data.root FOLDER" in refusal
    shutil.copytree(moved, own_folder / "other")
    (own_folder / "other" / "cat" / "1.png").unlink()
    assert "images of class cat: 9 now" in refused(f"{command} --resume run --data.root other")
    assert "takes everything from the run" in refused(f"{command} --resume run --data.root moved --out a")
    assert call(f"{command} --resume run --data.root moved").code == 0
    assert str(moved) in (own_folder / "run/config.json").read_text()


@pytest.mark.slow
def test_trainings_side_by_side_go_on_from_a_folder_that_moved(
    call: Call, photos: Path, own_folder: Path
) -> None:
    stopped(call, "retrain")
    photos.rename(own_folder / "moved")
    told = call("retrain --resume run --data.root moved --jobs 2")
    assert told.code == 0, told.err


def test_a_run_that_recorded_less_is_compared_in_what_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = {"classes": ["cat", "dog"], "mean": [0.5]}
    run = RunDirectory.create(tmp_path / "run", "{}", {}, now)
    now |= recorded({"all": Listing({"images of class cat": 3})})
    check_data(run, now)
    check_data(run, now | {"mean": [0.5 + 1e-9]})  # another machine's
    for key, value, told in (
        ("classes", ["cat", "wolf"], "classes: cat, wolf now, cat, dog when this run began"),
        ("mean", [0.51], "mean: 0.51 now, 0.5 when this run began"),
    ):
        with pytest.raises(InputError, match=told):
            check_data(run, now | {key: value})
    assert not caplog.messages
    check_data(run, now, RETRAIN_PRESETS["digits"])
    assert "did not record which files it read" in caplog.text


def test_a_run_without_a_folder_has_none_that_moved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads no folder of data"):
        found_data(RETRAIN_PRESETS["digits"], RunDirectory(tmp_path), "x")


RECIPE = TrainConfig(epochs=1, batch_size=2, validation_fraction=0.0)


def edit(file: Path, **values: Any) -> None:
    known = json.loads(file.read_text())
    known["annotations"][0] |= values
    file.write_text(json.dumps(known))


def boxes(root: Path) -> tuple[TaskConfig, Change, str]:
    write_squares(root)
    annotations = root / "annotations" / "instances_val2017.json"
    told = "content of instances_val2017.json in test: others now than when this run began"
    return CocoDetection(data=CocoData(root=str(root))), lambda: edit(annotations, bbox=[0, 0, 3, 3]), told


def fewer_pictures(root: Path) -> tuple[TaskConfig, Change, str]:
    write_squares(root)
    data = CocoData(root=str(root), skip_missing=True)
    told = "images in use in train: 8 now, 9 when this run began"
    return CocoDetection(data=data), (root / "train2017" / "0008.png").unlink, told


def poses(root: Path) -> tuple[TaskConfig, Change, str]:
    content = write_people(root)

    def change() -> None:
        del content["annotations"][-1]
        store_people(root, content)

    data = CocoData(root=str(root), train="few", test="few")
    return Keypoints(data=data), change, "annotations of person in train: 7 now, 8 when this run began"


def scenes(root: Path) -> tuple[TaskConfig, Change, str]:
    write_scenes(root)
    label = root / "fewannot" / "1.png"

    def change() -> None:
        Image.fromarray(np.asarray(Image.open(label)).clip(0, 1)).save(label)

    data = SceneData(root=str(root), train="few", test="few", num_classes=3)
    return Segmentation(data=data), change, "names and sizes of the labels in train: others now"


def many(root: Path) -> tuple[TaskConfig, Change, str]:
    write_pictures(root)
    name = sorted(path.name for path in (root / "train").iterdir())[-1]

    def change() -> None:
        for part in ("train", "val"):
            (root / part / name).rename(root / part / "other")

    return ImageNet(data=ImageNetData(root=str(root))), change, f"images of class {name} in train: 0 now"


@pytest.mark.parametrize("make", [boxes, fewer_pictures, poses, scenes, many])
def test_every_task_is_held_to_its_data(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    (tmp_path / "data").mkdir()
    task, change, wanted = make(tmp_path / "data")
    run = RunDirectory.create(tmp_path / "run", "{}", {}, task.read(RECIPE, fabric()).describe())
    check_data(run, task.read(RECIPE, fabric()).describe())
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    change()
    with pytest.raises(InputError, match=r"the data of .* changed") as told:
        check_data(run, task.read(RECIPE, fabric()).describe())
    assert wanted in str(told.value)
    moved = found_data(RetrainConfig(task=task, train=RECIPE), run, str(tmp_path / "copy")).task
    check_data(run, moved.read(RECIPE, fabric()).describe())


def test_a_listing_is_compared_part_by_part(tmp_path: Path) -> None:
    def data(**parts: Listing) -> dict[str, Any]:
        return recorded(parts)

    begun = data(train=Listing({"images in use": 3}, {"images in use": "a"}), test=Listing({}))
    run = RunDirectory.create(tmp_path / "run", "{}", {}, begun)
    check_data(run, begun)
    for now, told in (
        (
            data(train=Listing({"images in use": 2}), test=Listing({})),
            "images in use in train: 2 now, 3 when",
        ),
        (
            data(train=Listing({"images in use": 3}, {"images in use": "b"}), test=Listing({})),
            "in train: others",
        ),
        (data(train=Listing({"images in use": 3})), "parts: train now, train, test when this run began"),
    ):
        with pytest.raises(InputError, match=told):
            check_data(run, now)


def test_files_are_named_from_the_top(own_folder: Path) -> None:
    config = RETRAIN_PRESETS["imagenet"]
    task = changed(config, {"data": {"root": "pictures"}, "weights": "IMAGENET1K_V2"}).task
    assert absolute(task).data.root == str(own_folder / "pictures")
    assert absolute(task).weights == "IMAGENET1K_V2"
    Path("start.pth").touch()
    task = changed(config, {"data": {"root": "/data"}, "weights": "start.pth"}).task
    assert (absolute(task).data.root, absolute(task).weights) == ("/data", str(own_folder / "start.pth"))


def test_a_front_is_held_to_its_data(call: Call, refused: Refused, photos: Path) -> None:
    front = f"search digits {FOLDER} --backbone cifar_resnet8 --num-nodes 1 --searcher random"
    front += " --searcher.trials 1 --searcher.epochs 1 --searcher.batch-size 4 --target macs<=9x macs<=8x"
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TrainedSearch, 1, KeyboardInterrupt())
        assert call(front, "--out run").code == 130
    photos.rename("moved")
    rename(Path("moved"))
    assert "images of class wolf: 10 now" in refused("search --resume run --data.root moved")
    Path("moved/wolf").rename("moved/dog")
    told = call("search --resume run --data.root moved")
    assert told.code == 0, told.err
    assert call("search --resume run").code == 0  # complete


def test_a_trial_is_held_to_the_data_of_its_run(
    photos: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(SEARCH_PRESETS["digits"], {"data": {"name": "folder", "root": str(photos)}})
    _, data = search_problem(config, fabric())
    (own_folder / "data.json").write_text(json.dumps(data))
    config = changed(config, {"searcher": "random"})
    (own_folder / "config.json").write_text(to_json(config))
    add(photos)
    with pytest.raises(InputError, match="images of class dog: 11 now, 10 when this run began"):
        trial.main([])


def test_pictures_read_one_by_one_move_by_their_own_option(
    call: Call, refused: Refused, own_folder: Path
) -> None:
    write_pictures(own_folder / "many")
    line = "retrain none --preset imagenet --smoke --data.root many --train.batch-size 4 --out run"
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 1, KeyboardInterrupt())
        assert call(line).code == 130
    (own_folder / "many").rename("moved")
    assert "--resume run --data.root FOLDER" in refused("retrain --resume run")
    (own_folder / "moved/train/a/0.jpg").rename("moved/train/b/9.jpg")
    told = refused("retrain --resume run --data.root moved")
    assert "images of class a in train: 3 now, 4 when this run began" in told


def test_a_picture_of_cocos_that_became_another(call: Call, tmp_path: Path) -> None:
    write_people(tmp_path)
    config = Keypoints(data=CocoData(root=str(tmp_path), train="few", test="few"), workers=0)
    before = recorded(config.read(TrainConfig(validation_fraction=0.0), fabric()).listings)
    Image.new("RGB", (80, 64), "teal").save(tmp_path / "few" / "002.png")
    after = recorded(config.read(TrainConfig(validation_fraction=0.0), fabric()).listings)
    assert before["parts"]["train"]["counts"] == after["parts"]["train"]["counts"]
    assert before["parts"]["train"]["digests"] != after["parts"]["train"]["digests"]


def test_weights_to_start_from_that_became_others(call: Call, refused: Refused, photos: Path) -> None:
    assert call(RETRAIN, "--seeds 0 --out first").code == 0
    weights = Path("start.safetensors")
    shutil.copy("first/none-seed0/weights.safetensors", weights)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 3, KeyboardInterrupt())
        assert call(RETRAIN, f"--weights {weights} --out run").code == 130
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + b"abcd")
    assert "the data of run changed: content of " in refused("retrain --resume run")
    weights.rename("gone")
    assert "no weights at " in refused("retrain --resume run")
    weights.write_bytes(content)
    assert call("retrain --resume run").code == 0
