"""ImageNet from the command line: a first look, two recipes in one table, weights to start from."""

import json

import pytest
import torch

from autola.presets import RETRAIN_PRESETS
from outputs.records import WEIGHTS
from outputs.weights import load_weights
from tests.autola.conftest import everything
from tests.evaluators.pictures import write_pictures

SMOKE = "--preset imagenet --smoke --data.root pictures --image-size 24 --resize 28 --train.batch-size 4"


@pytest.fixture
def pictures(own_folder):
    return write_pictures(own_folder / "pictures")


@pytest.fixture
def tiny(monkeypatch):
    """First looks of one epoch on pictures of 16 pixels."""
    from evaluators.recipe import TrainConfig
    from evaluators.tasks.imagenet import ImageNet

    task, train = ImageNet.smoke, TrainConfig.smoke
    from dataclasses import replace

    monkeypatch.setattr(
        ImageNet,
        "smoke",
        lambda self: replace(task(self), image_size=16, resize=18, data=replace(self.data, limit=4)),
    )
    monkeypatch.setattr(
        TrainConfig, "smoke", lambda self, *given: replace(train(self, *given), epochs=1, milestones=(1,))
    )


@pytest.mark.usefixtures("tiny")
def test_both_recipes_end_in_one_table(call, pictures, own_folder):
    told = call("retrain none --preset imagenet --recipe both --smoke --data.root pictures --out run")
    assert told.code == 0, told.err
    assert "recipe" in told.out
    rows = [line.split()[0] for line in told.out.splitlines()]
    assert rows[-4:] == ["paper", "modern", "run", "run"]
    paper, modern = (
        json.loads((own_folder / f"run-{name}" / "config.json").read_text()) for name in ("paper", "modern")
    )
    assert paper["train"]["schedule"] == "step"
    assert modern["task"]["mixup"] == 0.2
    again = call("retrain --resume run-paper run-modern")
    assert again.code == 0
    assert [line.split()[0] for line in again.out.splitlines()][-4:-2] == ["run-paper", "run-modern"]
    metrics = json.loads((own_folder / "run-paper" / "none-seed0" / "result.json").read_text())["metrics"]
    assert {"test_accuracy", "test_top5_accuracy", "test_loss"} <= metrics.keys()


@pytest.mark.usefixtures("tiny")
def test_a_training_starts_from_another(call, pictures, own_folder):
    assert call("retrain none --preset imagenet --smoke --data.root pictures --out first").code == 0
    words = "retrain se --preset imagenet --smoke --data.root pictures --weights first/none-seed0 --identity"
    told = call(words, "--train.learning-rate 1e-12 --train.momentum 0 --out second")
    assert told.code == 0, told.err
    assert "starts from 122 tensors of first/none-seed0; the attention is new" in told.err
    first, second = (
        load_weights(own_folder / path / WEIGHTS) for path in ("first/none-seed0", "second/se-seed0")
    )
    learnt = [key for key in first if "running" not in key and "num_batches" not in key]
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in learnt)


ROOT = "--data.root pictures"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "--data.root is missing"),
        ("--data.root nowhere", "no folder at nowhere"),
        ("--data.root pictures/train", "has no folder train"),
        (f"{ROOT} --weights nowhere.pth", "no weights at nowhere.pth"),
        (f"{ROOT} --weights IMAGENET1K_V2", "did you mean IMAGENET1K_V1"),
        (f"{ROOT} --weights other.pth", "do not fit the network"),
        (f"{ROOT} --recipe sometimes", "invalid choice"),
        (f"{ROOT} --train.batch-size 100", "12 images do not fill a batch of"),
    ],
)
def test_bad_input_is_one_line(refused, pictures, own_folder, words, problem):
    torch.save({"conv1.weight": torch.zeros(3, 3)}, own_folder / "other.pth")
    smoke = "" if "batch" in words else "--smoke"
    words = f"{words} --backbone resnet18 --image-size 16 --resize 18 --workers 0"
    assert problem in refused(f"retrain none --preset imagenet {smoke} {words}")


def test_a_preset_without_a_modern_recipe_is_named(refused):
    problem = refused("retrain none --preset digits --recipe both")
    assert "preset digits has one recipe; there are two of imagenet" in problem


def test_two_recipes_start_together_or_not_at_all(call, own_folder, pictures):
    (own_folder / "run-modern").mkdir()
    before = everything(own_folder)
    command = "retrain none --preset imagenet --recipe both --smoke --data.root pictures --out run"
    told = call(command)
    assert told.code == 2
    assert "run-modern exists already" in told.err
    assert everything(own_folder) == before


def test_every_preset_with_a_modern_recipe_names_the_same_task():
    pairs = [name for name in RETRAIN_PRESETS if f"{name}-modern" in RETRAIN_PRESETS]
    assert pairs
    for name in pairs:
        assert type(RETRAIN_PRESETS[name].task) is type(RETRAIN_PRESETS[f"{name}-modern"].task)
