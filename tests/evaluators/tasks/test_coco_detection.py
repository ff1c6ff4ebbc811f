"""Detection: targets, losses, decoding and score fit together; a training stops and goes on anywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from evaluators.cost import macs
from evaluators.data.coco import CocoData, held_out, read_coco
from evaluators.metrics.coco import NAMES
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.coco_detection import CocoDetection
from evaluators.tasks.coco_detection.boxes import BoxSamples
from evaluators.train import Training
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS
from tests.evaluators.coco_squares import write_squares

SMALL = DetectorConfig(backbone="resnet18", min_sizes=(64,), max_size=64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("coco"))


def config(root: Path, name: str = "retinanet", **changes: Any) -> CocoDetection:
    values = {"detector": replace(SMALL, name=name), "workers": 0} | changes
    return CocoDetection(data=CocoData(root=str(root)), **values)


def setting(task: CocoDetection, precision: Any = "32-true", **recipe: Any) -> Any:
    values = {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "validation_fraction": 0.0} | recipe
    return task.read(TrainConfig(**values), Fabric(accelerator="cpu", devices=1, precision=precision))


def training(
    task: CocoDetection, attention: str = "none", *, precision: Any = "32-true", **recipe: Any
) -> Training:
    whole = setting(task, precision, **recipe)
    network = new_network(task, whole.describe(), parse_attention(attention), 3)
    return Training(whole.start(network, 3), whole.recipe, whole.fabric, 3)


class Knowing(nn.Module):
    """Gives back the boxes of the pictures in their order, as a perfect detector would."""

    def __init__(self, samples: BoxSamples, first_label: int) -> None:
        super().__init__()
        self.samples = [samples.sample(index, 0) for index in range(len(samples))]
        self.first_label = first_label
        self.seen = 0

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        known = self.samples[self.seen : self.seen + len(images)]
        self.seen += len(images)
        for image, sample in zip(images, known, strict=True):
            torch.testing.assert_close(image * 255, sample.image.float())
        return [
            {"boxes": s.boxes, "labels": s.labels + self.first_label, "scores": torch.ones(len(s.labels))}
            for s in known
        ]


@pytest.mark.parametrize("name", DETECTORS)
def test_the_truth_scores_one(root: Path, name: str) -> None:
    task = config(root, name)
    started = setting(task).start(nn.Identity(), 0)
    test = BoxSamples(read_coco(task.data, "instances", "val2017"), "none")
    metrics = started.evaluate(Knowing(test, task.kind.first_label), "test")
    assert tuple(metrics) == NAMES["bbox"]
    assert metrics["AP"] == metrics["AR100"] == 1.0


@pytest.mark.parametrize("name", DETECTORS)
def test_labels_are_those_that_torchvision_expects(root: Path, name: str) -> None:
    started = setting(config(root, name, changes="none")).start(nn.Identity(), 0)
    images, targets = started.batch(0, 0)
    assert len(images) == len(targets) == 4
    seen = {int(label) for target in targets for label in target["labels"]}
    first = DETECTORS[name].first_label
    assert seen <= set(range(first, first + 3))
    for image, target in zip(images, targets):
        assert image.dtype == torch.float32
        assert 0 <= image.min() <= image.max() <= 1
        for (left, top, right, bottom), label in zip(target["boxes"].int().tolist(), target["labels"]):
            inside = image[:, top:bottom, left:right].flatten(1).median(1).values
            assert int(inside.argmax()) == int(label) - first, "0 is red, 1 green, 2 blue"


@pytest.mark.parametrize("name", ["faster_rcnn", "retinanet", pytest.param("ssd300", marks=pytest.mark.slow)])
def test_a_step_lowers_the_loss_of_its_batch(root: Path, name: str) -> None:
    job = training(config(root, name, changes="none"), optimizer="adam", learning_rate=1e-4, norm="frozen")
    batch = job.task.batch(0, 0)
    assert job.task.figures == DETECTORS[name].losses

    @torch.no_grad()
    def loss() -> float:
        torch.manual_seed(0)
        whole, *parts = job.task.loss(job.model.train(), batch)
        assert abs(float(whole) - float(sum(parts))) < 1e-4
        return float(whole)

    before = loss()
    job.advance()
    assert loss() < before


@pytest.mark.parametrize("changes", ["none", "flip", "ssd"])
def test_changed_pictures_still_show_what_their_boxes_say(root: Path, changes: Any) -> None:
    samples = BoxSamples(read_coco(CocoData(root=str(root)), "instances", "train2017"), changes)
    state = torch.get_rng_state()
    widths = set()
    for index in range(len(samples)):
        for seed in range(4):
            sample = samples.sample(index, seed)
            again = samples.sample(index, seed)
            assert torch.equal(sample.image, again.image)
            assert torch.equal(sample.boxes, again.boxes)
            widths.add(sample.image.shape[2] - samples.sample(index, seed + 9).image.shape[2])
            if changes == "ssd":
                continue  # its colours change
            for (left, top, right, bottom), label in zip(sample.boxes.int().tolist(), sample.labels):
                inside = sample.image[:, top:bottom, left:right].float().flatten(1).median(1).values
                assert int(inside.argmax()) == int(label)
    assert torch.equal(torch.get_rng_state(), state)
    assert (widths == {0}) == (changes != "ssd")
    flips = {tuple(samples.sample(0, seed).boxes[0].tolist()) for seed in range(12)}
    assert (len(flips) == 1) == (changes == "none")


def test_empty_pictures_train_only_if_asked(root: Path) -> None:
    assert len(BoxSamples(setting(config(root)).train, "none")) == 9
    assert setting(config(root), batch_size=1).start(nn.Identity(), 0).num_batches == 8
    assert setting(config(root, empty=True), batch_size=1).start(nn.Identity(), 0).num_batches == 9


def test_a_share_is_held_out_once_for_all(root: Path) -> None:
    whole = read_coco(CocoData(root=str(root)), "instances", "train2017")
    train, validation = held_out(whole, 0.3)
    assert (len(train), len(validation)) == (6, 3)
    assert {image.id for image in (*train.images, *validation.images)} == {image.id for image in whole.images}
    assert held_out(whole, 0.3)[1].images == validation.images
    started = setting(config(root), validation_fraction=0.3).start(nn.Identity(), 0)
    assert started.has_validation
    assert len(started.sets["validation"]) == 3
    with pytest.raises(InputError, match=r"1 images are too few to hold out a share of 0\.3"):
        held_out(whole.select([0]), 0.3)


def test_stopped_and_resumed_it_ends_with_the_same_weights(root: Path) -> None:
    task = config(root, "retinanet")
    whole, half, rest = (training(task, "se", epochs=1) for _ in range(3))
    assert whole.total_steps == 2
    half.advance()
    stored = half.state_dict()
    rest.load_state_dict(stored)
    while whole.step < whole.total_steps:
        whole.advance()
    while rest.step < rest.total_steps:
        rest.advance()
    for key, value in whole.task.model.state_dict().items():
        assert torch.equal(value, rest.task.model.state_dict()[key]), key
    assert whole.result() == rest.result()


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_the_whole_path_in_float64(root: Path, name: str) -> None:
    job = training(config(root, name), "aw+se", epochs=1, precision="64-true")
    job.advance()
    assert all(p.dtype == torch.float64 for p in job.task.model.parameters())
    assert set(job.result()) == {f"test_{figure}" for figure in NAMES["bbox"]}


def test_a_network_is_built_from_the_description_alone(root: Path) -> None:
    task = config(root, "faster_rcnn")
    data = setting(task).describe()
    assert data["classes"] == ["red", "green", "blue"]
    assert data["category_ids"] == [3, 7, 20]
    with torch.device("meta"):
        network: Any = task.network(data, parse_attention("hoga"))
    assert network.roi_heads.box_predictor.cls_score.out_features == 4
    assert task.image_shape() == (3, 64, 64)
    assert macs(network, tuple(data["input_shape"])) > 1e9
    large = replace(task, detector=DetectorConfig())
    assert large.image_shape() == (3, 800, 1344)
    assert replace(task, detector=DetectorConfig(name="ssd300")).image_shape() == (3, 300, 300)


def test_predictions_are_drawn_and_told(root: Path) -> None:
    task = config(root, "faster_rcnn")
    data = setting(task).describe()

    class Finder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
            assert not self.training
            assert images[0].shape == (3, 60, 80)
            boxes = torch.tensor([[10.0, 20, 30, 50], [5, 5, 25, 25], [0, 0, 9, 9]])
            return [
                {"boxes": boxes, "labels": torch.tensor([3, 1, 2]), "scores": torch.tensor([0.7, 0.9, 0.1])}
            ]

    picture = Image.new("L", (80, 60), 128)
    told = task.predict(Finder(), data, picture)
    drawn, found = told.picture, told.found
    assert found == [
        {"class": "red", "score": 0.9, "box": [5.0, 5.0, 20.0, 20.0]},
        {"class": "blue", "score": 0.7, "box": [10.0, 20.0, 20.0, 30.0]},
    ]
    assert drawn.size == picture.size
    assert drawn.getpixel((10, 40)) != (128, 128, 128), "the left side of a box"
    assert drawn.getpixel((70, 50)) == (128, 128, 128)
    nothing = task.predict(Finder(), data, picture, least=0.95)
    assert nothing.found == []
    assert nothing.picture.tobytes() == picture.convert("RGB").tobytes()


def test_a_first_look_is_small_and_needs_no_weights(root: Path) -> None:
    task = config(root, weights="IMAGENET1K_V1", detector=DetectorConfig(trainable_stages=3)).smoke()
    assert task.weights is None
    assert task.detector.trainable_stages == 5
    assert task.data.limit == 8
    assert max(task.image_shape()[1:]) <= 320


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": -1}, "workers=-1 is negative"),
        ({"detector": DetectorConfig(trainable_stages=3)}, "trainable_stages=3 keeps parts .* give weights"),
        ({"data": None}, "coco-detection reads COCO's layout; start from a preset of its own"),
    ],
)
def test_configs_that_cannot_be_are_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CocoDetection(**changes)


def test_a_recipe_with_smoothed_labels_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="label_smoothing is not part of the losses of detectors"):
        setting(config(root), label_smoothing=0.1)


def test_parts_have_the_same_categories(tmp_path: Path) -> None:
    write_squares(tmp_path)
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text().replace('"red"', '"pink"'))
    with pytest.raises(InputError, match=r"instances_train2017.json and instances_val2017.json differ"):
        setting(config(tmp_path))


def test_pictures_without_a_box_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_squares(tmp_path, num_train=9)
    with caplog.at_level(logging.INFO):
        setting(config(tmp_path))
        setting(replace(config(tmp_path), empty=True))
    assert (
        "8 images to train on, 1 without a box left out (--empty trains on them), 5 to test on" in caplog.text
    )
    assert "9 images to train on, 5 to test on" in caplog.text


def test_a_damaged_picture_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    write_squares(tmp_path)
    damaged = tmp_path / "train2017" / "0003.png"
    damaged.write_bytes(damaged.read_bytes()[:80])
    job = training(config(tmp_path))
    with pytest.raises(InputError, match=r"cannot decode .*0003.png"):  # noqa: PT012
        for _ in range(job.total_steps):
            job.advance()
