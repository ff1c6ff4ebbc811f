"""Keypoints and segmentation through the command line: bad input, a first look, killed and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import autola
from evaluators.train import Training
from tests.autola.conftest import Call, Refused
from tests.autola.runs import records, stop_at
from tests.evaluators.dense import write_people, write_scenes

POSES = "retrain none --task coco-keypoints --data.train few --data.test few --workers 0 --backbone resnet18"
SCENES = (
    "retrain none --task segmentation --data.layout folders --data.train few --data.test few --workers 0 "
    "--backbone resnet18"
)


def test_bad_input_of_keypoints_gets_a_line(refused: Refused, tmp_path: Path) -> None:
    assert "give data.root" in refused(POSES)
    assert "no annotation file at" in refused(f"{POSES} --data.root nowhere")
    write_people(tmp_path)
    here = f"{POSES} --data.root {tmp_path} --weights None"
    assert "8 images do not fill a batch of 128; give a batch size of at most 8" in refused(here)
    assert "no file of detections at gone.json" in refused(f"{here} --detections gone.json")
    assert "no torchvision ResNet" in refused(f"{here} --backbone mobilenet_v1 --train.batch-size 4")
    assert "give multiples of 32" in refused(f"{here} --image-size 100 100")
    assert "no weights at gone.pth" in refused(f"{here} --train.batch-size 4 --weights gone.pth")
    (tmp_path / "few" / "001.png").unlink()
    assert "1 of the 4 images of person_keypoints_few.json" in refused(here)
    (tmp_path / "annotations" / "person_keypoints_few.json").write_text('{"images": []}')
    assert "this key is missing" in refused(here)


def test_bad_input_of_segmentation_gets_a_line(refused: Refused, tmp_path: Path) -> None:
    assert "give data.root" in refused(SCENES)
    write_scenes(tmp_path)
    here = f"{SCENES} --data.root {tmp_path} --weights None"
    assert "give data.num_classes" in refused(here)
    here += " --data.num-classes 3"
    assert "4 images do not fill a batch of 8" in refused(here)
    assert "has the value 2, which is neither" in refused(f"{here} --data.num-classes 2")
    assert "a process needs two images" in refused(f"{here} --head deeplabv3 --train.batch-size 1")
    (tmp_path / "fewannot" / "2.png").unlink()
    assert "1 of 4 images of 'few' have no labels: 2.png" in refused(here)


def test_a_task_does_not_take_the_data_of_another(refused: Refused) -> None:
    assert "start from a preset of its own" in refused("retrain none --preset digits --task coco-keypoints")
    assert "start from a preset of its own" in refused("retrain none --preset digits --task segmentation")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["coco-keypoints", "segmentation"])
def test_a_first_look_stopped_and_resumed(
    call: Call, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (POSES if task == "coco-keypoints" else SCENES).replace("none", "se")
    line += f" --smoke --threads 1 --data.root {tmp_path}"
    if task == "coco-keypoints":
        write_people(tmp_path)
    else:
        write_scenes(tmp_path)
        line += " --data.num-classes 3"
    whole = call(f"{line} --out whole")
    assert whole.code == 0, whole.err
    stop_at(monkeypatch, Training, 1, KeyboardInterrupt())
    assert call(f"{line} --out stopped").code != 0
    resumed = call("retrain --resume stopped")
    assert resumed.code == 0, resumed.err
    assert records(Path("stopped")) == records(Path("whole"))
    result = json.loads(Path("whole/se-seed0/result.json").read_text())
    assert result["score"] == result["metrics"]["test_AP" if task == "coco-keypoints" else "test_mIoU"]
    network = autola.load("whole/se-seed0")
    assert not network.training
