"""Segmentation: labels, loss and scores fit together; crops and whole pictures; stop and resume."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.segmentation import Segmentation
from evaluators.tasks.segmentation.confusion import confusion_matrix, segmentation_scores
from evaluators.tasks.segmentation.data import IGNORED, SceneData
from evaluators.tasks.segmentation.prediction import palette
from evaluators.tasks.segmentation.scene_crops import Uncut
from evaluators.tasks.segmentation.scenes import read_scenes
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.attach import CHILD
from tests.evaluators.dense import Telling, fabric, start, tiny, write_scenes
from tests.evaluators.trainings import advance
from tests.searchers.test_searchers import assert_equal_states

__all__ = ["tiny"]

RECIPE = TrainConfig(
    epochs=2, batch_size=2, learning_rate=0.01, schedule="poly", weight_decay=1e-4, validation_fraction=0.25
)


@pytest.fixture
def small(tmp_path, tiny):
    """Four pictures of three classes, and the tiny network; what is trained on is the test part as well."""
    write_scenes(tmp_path, num_images=6)
    data = SceneData(root=str(tmp_path), train="few", test="few", num_classes=3)
    return Segmentation(data=data, backbone=tiny, crop=32, workers=0)


class Seeing(nn.Module):
    """Tells classes by the red of a pixel, as `write_scenes` has coloured them."""

    def forward(self, images):
        red = images[:, 0] * 0.229 + 0.485
        logits = torch.stack([-((red - 40 * k / 255) ** 2) for k in range(3)], 1)
        return {"out": logits, "aux": logits}


def test_who_sees_the_classes_scores_all(small):
    task = start(small, RECIPE).task
    for split in ("validation", "test"):
        scores = task.evaluate(Seeing(), split)
        assert scores["mIoU"] == scores["accuracy"] == 1
        assert set(scores) == {"mIoU", "accuracy", "mean_accuracy", "IoU_0", "IoU_1", "IoU_2"}


def test_classes_without_a_pixel_are_told_once(small, caplog):
    data = replace(small.data, num_classes=5)
    task = start(replace(small, data=data), RECIPE).task
    for _ in range(2):
        task.evaluate(Telling({"out": torch.zeros(1, 5, 40, 56, dtype=torch.float64)}), "test")
    assert caplog.messages == ["the test images have classes without a pixel: 3, 4"]


def test_the_score_is_of_whole_pictures_of_any_size(small, tmp_path):
    path = tmp_path / "few" / "1.png"
    for file in (path, tmp_path / "fewannot" / "1.png"):
        Image.open(file).crop((0, 0, 37, 33)).save(file)
    job = start(small, RECIPE)
    network = job.task.model.train()
    scores = job.task.evaluate(network, "test")
    assert network.training
    scenes, total = Uncut(read_scenes(small.data, "few")), torch.zeros(3, 3, dtype=torch.int64)
    network.eval()
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]
    for index in range(len(scenes)):
        picture, labels = scenes.sample(index, 0)
        with torch.no_grad():
            logits = network((picture[None].double() / 255 - mean) / std)["out"][0]
        total += confusion_matrix(labels, logits.argmax(0), 3)
    assert scores == segmentation_scores(total, "012")


def test_loss_is_the_mean_over_labelled_pixels(small):
    job = start(small, RECIPE)
    images, labels = job.task.batch(0, 0)
    assert images.shape == (2, 3, 32, 32)
    labels[0, :5] = IGNORED
    out, aux = torch.randn(2, 2, 3, 32, 32, dtype=torch.float64)
    loss, accuracy = job.task.loss(Telling({"out": out, "aux": aux}), (images, labels))
    expected, right, count = 0.0, 0, 0
    for b, y, x in np.ndindex(2, 32, 32):
        label = labels[b, y, x].item()
        if label != IGNORED:
            for logits, share in ((out, 1.0), (aux, 0.4)):
                expected -= share * logits[b, :, y, x].log_softmax(0)[label].item()
            right += int(out[b, :, y, x].argmax() == label)
            count += 1
    assert loss.item() == pytest.approx(expected / count, rel=1e-6)
    assert accuracy.item() == pytest.approx(right / count)
    nothing = torch.full_like(labels, IGNORED)
    loss, accuracy = job.task.loss(Telling({"out": out, "aux": aux}), (images, nothing))
    assert loss.item() == accuracy.item() == 0


def test_without_the_second_head_there_is_one_loss(small):
    job = start(replace(small, auxiliary=0.0), RECIPE)
    assert not any("aux" in name for name in job.task.model.state_dict())
    advance(job, 1)


@pytest.mark.parametrize("attention", ["se", "hoga"])
def test_the_network_starts_from_the_same_weights_whatever_the_attention(small, attention):
    known = json.loads(json.dumps(small.read(RECIPE, fabric()).describe()))
    plain = new_network(small, known, (), 3).state_dict()
    other = new_network(small, known, parse_attention(attention), 3).state_dict()
    assert plain.keys() < other.keys()
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert all(CHILD in name for name in other.keys() - plain.keys())
    assert (known["input_shape"], known["classes"]) == ([3, 32, 32], ["0", "1", "2"])


@pytest.mark.parametrize("head", ["fcn", "deeplabv3"])
@pytest.mark.parametrize("stop", [1, 2])
def test_a_training_that_stops_and_goes_on_ends_where_it_would_have(small, tmp_path, stop, head):
    config = replace(small, head=head)
    torch.save(advance(start(config, RECIPE, "se"), stop).state_dict(), tmp_path / "state.pt")
    torch.manual_seed(99)
    resumed = start(config, RECIPE, "se")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    whole = start(config, RECIPE, "se")
    advance(resumed, resumed.total_steps - stop)
    advance(whole, whole.total_steps)
    assert_equal_states(resumed.state_dict(), whole.state_dict())
    assert resumed.result() == whole.result()


def test_predictions_are_drawn_and_told(small):
    known = small.read(RECIPE, fabric()).describe()
    network = new_network(small, known, (), 0)
    picture = Image.fromarray(np.full((50, 70), 90, np.uint8))
    for config in (small, replace(small, data=replace(small.data, image_size=(40, 40)))):
        told = config.predict(network, known, picture)
        assert (told.picture.size, told.picture.mode) == ((70, 50), "RGB")
        assert json.loads(json.dumps(told.found)) == told.found
        assert sum(each["share"] for each in told.found) == pytest.approx(1, abs=0.001)


def test_colours_of_classes_differ():
    assert len(set(palette(100))) == 100


def test_a_validation_part_of_its_own_is_taken(small, tmp_path):
    write_scenes(tmp_path, "other", 3)
    config = replace(small, data=replace(small.data, validation="other"))
    setting = config.read(RECIPE, fabric())
    assert (len(setting.train), len(setting.validation or ()), len(setting.test)) == (6, 3, 6)
    assert config.read(replace(RECIPE, validation_fraction=0.0), fabric()).validation is None
    held = small.read(RECIPE, fabric())
    assert held.validation is not None
    assert (len(held.train), len(held.validation)) == (4, 2)
    assert not set(held.train.pairs) & set(held.validation.pairs)


def test_one_picture_is_too_few_for_deeplab(small):
    config, recipe = replace(small, head="deeplabv3"), replace(RECIPE, batch_size=2, accumulate=2)
    with pytest.raises(InputError, match="a process needs two images or more; give a larger batch_size"):
        config.read(recipe, fabric())
    config.read(replace(recipe, norm="frozen"), fabric())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"crop": 31}, "crop=31; give at least 32"),
        ({"scales": (2.0, 1.0)}, r"scales=\(2\.0, 1\.0\); give the least and the largest"),
        ({"scales": (0.0, 1.0)}, "both positive"),
        ({"auxiliary": -0.1}, r"auxiliary=-0\.1 is negative"),
        ({"workers": -1}, "workers=-1 is negative"),
    ],
)
def test_senseless_settings_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        Segmentation(**given)


def test_a_first_look_is_small(small):
    look = small.smoke()
    assert look.data.limit is not None
    assert look.data.image_size is not None
    assert look.backbone == "resnet18"
    assert look.workers == 0


def test_workers_read_the_same(small):
    alone, helped = (
        replace(small, workers=workers).read(RECIPE, fabric()).start(nn.Identity(), 0) for workers in (0, 1)
    )
    for ours, theirs in zip(alone.batch(1, 1), helped.batch(1, 1)):
        assert torch.equal(ours, theirs)
