"""Detection through the command line: the papers' numbers, and one line for what cannot be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

import autola
from autola.presets import RETRAIN_PRESETS
from evaluators.tasks.coco_detection import CocoDetection
from tests.autola.conftest import Call, Refused
from tests.evaluators.coco_squares import write_squares

SHARED = {"momentum": 0.9, "optimizer": "sgd", "schedule": "step", "gamma": 0.1, "validation_fraction": 0.0}


@pytest.mark.parametrize(
    ("preset", "detector", "backbone", "recipe"),
    [
        (
            "coco-faster-rcnn",
            "faster_rcnn",
            "resnet50",
            {"epochs": 14, "batch_size": 2, "learning_rate": 0.01, "milestones": (8, 11)}
            | {"weight_decay": 1e-4, "warmup_steps": 500, "norm": "frozen"},
        ),
        (
            "coco-ssd300",
            "ssd300",
            "resnet50",
            {"epochs": 65, "batch_size": 128, "learning_rate": 0.01, "milestones": (43, 54)}
            | {"weight_decay": 5e-4, "warmup_epochs": 1.0, "decay": "weights", "norm": "train"},
        ),
        (
            "coco-ga",
            "faster_rcnn",
            "resnet50",
            {"epochs": 12, "batch_size": 16, "learning_rate": 0.02, "milestones": (8, 11)}
            | {"weight_decay": 1e-4, "warmup_steps": 500, "warmup_factor": 0.001},
        ),
        ("coco-aw", "faster_rcnn", "resnet101", {}),
        ("coco-aa", "retinanet", "resnet50", {}),
    ],
)
def test_the_settings_of_the_papers(preset: str, detector: str, backbone: str, recipe: dict) -> None:
    task, train = RETRAIN_PRESETS[preset].task, asdict(RETRAIN_PRESETS[preset].train)
    assert isinstance(task, CocoDetection)
    assert (task.detector.name, task.detector.backbone) == (detector, backbone)
    assert (task.weights is None) == (preset == "coco-aa"), "it starts from random weights"
    wanted = SHARED | recipe
    assert {name: train[name] for name in wanted} == wanted


def test_bad_input_gets_a_line(refused: Refused, tmp_path: Path) -> None:
    coco = "retrain none --preset coco-aa --detector.backbone resnet18"
    assert "give data.root" in refused(coco)
    assert "no annotation file at" in refused(f"{coco} --data.root nowhere")
    root = write_squares(tmp_path)
    here = f"{coco} --data.root {root} --workers 0"
    assert "did you mean retinanet?" in refused(f"{here} --detector.name retinanets")
    assert "do not fill a batch of 16; give a batch size of at most 8" in refused(here)
    refusal = refused(f"{here} --train.batch-size 4 --weights gone.pth")
    assert "no weights at gone.pth; give a file, a run folder" in refusal
    (root / "val2017" / "0001.png").unlink()
    assert "1 of the 5 images of instances_val2017.json" in refused(here)
    (root / "annotations" / "instances_val2017.json").write_text("[")
    assert "cut short or not JSON" in refused(here)


@pytest.mark.slow
def test_a_first_look_from_training_to_drawing(call: Call, tmp_path: Path) -> None:
    root = write_squares(tmp_path)
    line = (
        f"retrain none se --preset coco-faster-rcnn --smoke --data.root {root} --detector.backbone resnet18"
    )
    told = call(f"{line} --threads 1 --out run")
    assert told.code == 0, told.err
    assert "test AP %" in told.out
    result = json.loads(Path("run/se-seed0/result.json").read_text())
    assert set(result["metrics"]) >= {"test_AP", "test_AP50", "test_ARl"}
    network = autola.load("run/se-seed0")
    assert any("attention" in name for name, _ in network.named_modules())
    assert not network.training
