"""Keypoints: targets, loss, decoding and scores fit together; who is looked at; stop and resume."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from evaluators.data.coco import CocoData
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.keypoints.heat_maps import draw_maps, mirror_maps, to_cells
from evaluators.tasks.keypoints.person_crops import PersonCrops
from evaluators.tasks.keypoints.training import KeypointTask
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.attach import CHILD
from tests.evaluators.dense import KEYPOINTS, Telling, fabric, start, store_people, tiny, write_people
from tests.evaluators.trainings import advance
from tests.real_data import real_data
from tests.searchers.test_searchers import assert_equal_states

__all__ = ["tiny"]

RECIPE = TrainConfig(
    epochs=2, batch_size=2, optimizer="adam", learning_rate=1e-3, weight_decay=0.0, validation_fraction=0.25
)


@pytest.fixture
def small(tmp_path, tiny):
    """Eight persons in four pictures, and the tiny network; what is trained on is the test part as well."""
    write_people(tmp_path)
    data = CocoData(root=str(tmp_path), train="few", test="few")
    return Keypoints(data=data, backbone=tiny, image_size=(64, 32), workers=0)


class Knowing(nn.Module):
    """Draws the right maps of the crops that it is shown in order; of each, then of its mirror image."""

    def __init__(self, crops: PersonCrops, sigma: float, *, mirrors: bool, batch_size: int) -> None:
        super().__init__()
        points = [to_cells(crops.sample(index, 0).points.double(), 4) for index in range(len(crops))]
        self.maps = draw_maps(torch.stack(points), (crops.size[0] // 4, crops.size[1] // 4), sigma)
        self.partners, self.mirrors, self.batch_size = list(crops.partners), mirrors, batch_size
        self.calls = 0

    def forward(self, images):
        index, mirrored = divmod(self.calls, 2) if self.mirrors else (self.calls, 0)
        self.calls += 1
        maps = self.maps[index * self.batch_size : (index + 1) * self.batch_size]
        assert len(maps) == len(images)
        return mirror_maps(maps, self.partners) if mirrored else maps


def knowing(task: KeypointTask) -> Knowing:
    part = task.parts["test"]
    assert part is not None
    crops = part[1]._samples
    assert isinstance(crops, PersonCrops)
    return Knowing(crops, task.sigma, mirrors=task.flip_test, batch_size=RECIPE.batch_size)


@pytest.mark.parametrize(("flip_test", "decode"), [(True, "quarter"), (False, "quarter"), (True, "dark")])
def test_who_knows_the_maps_finds_real_people(flip_test, decode):
    data = CocoData(root=str(real_data("coco")), train="val2017", test="val2017", limit=30)
    config = Keypoints(data=data, backbone="resnet18", flip_test=flip_test, decode=decode, workers=0)
    setting = config.read(replace(RECIPE, validation_fraction=0.0), fabric())
    task = setting.start(nn.Identity(), 0)
    model = knowing(task)
    scores = task.evaluate(model, "test")
    assert len(model.maps) > 20
    # Some keypoints lie outside the crop of their person, and a quarter of a cell is not near enough for the
    # strictest similarities.
    assert scores["AP50"] > 0.975
    assert scores["AP"] > (0.95 if decode == "quarter" else 0.966)
    blind = task.evaluate(Blind(), "test")
    assert 0 <= blind["AP"] < 0.1


def test_to_second_order_the_true_maps_score_one():
    data = CocoData(root=str(real_data("coco")), train="val2017", test="val2017", limit=30)
    # A margin in which all keypoints of a person lie.
    config = Keypoints(data=data, backbone="resnet18", decode="dark", crop_margin=3.0, workers=0)
    setting = config.read(replace(RECIPE, validation_fraction=0.0), fabric())
    task = setting.start(nn.Identity(), 0)
    scores = task.evaluate(knowing(task), "test")
    assert scores["AP"] == pytest.approx(1.0, abs=1e-12)
    assert scores["AR"] == pytest.approx(1.0, abs=1e-12)


class Blind(nn.Module):
    def forward(self, images):
        return torch.zeros(len(images), 17, images.shape[2] // 4, images.shape[3] // 4)


def test_loss_is_as_written_and_leaves_out_what_is_not_labelled(small):
    job = start(replace(small, flip=False), RECIPE)
    images, targets, weights = job.task.batch(0, 0)
    assert images.shape == (2, 3, 64, 32)
    assert targets.shape == (2, 17, 16, 8)
    assert weights[:, -1].eq(0).all(), "the last ankle is never labelled"
    assert weights[:, 0].eq(1).any()
    maps = torch.randn(targets.shape, dtype=torch.float64)
    (loss,) = job.task.loss(Telling(maps), (images, targets, weights))
    total = 0.0
    for b in range(2):
        for k in range(17):
            if weights[b, k]:
                total += ((maps[b, k] - targets[b, k]) ** 2).sum().item()
    assert loss.item() == pytest.approx(total / maps.numel() / 2, rel=1e-12)


def test_the_score_is_of_pictures_and_does_not_depend_on_batches(small):
    scores = []
    for batch_size in (2, 6):
        task = start(small, replace(RECIPE, batch_size=batch_size)).task
        torch.manual_seed(0)
        network = new_network(small, small.read(RECIPE, fabric()).describe(), (), 1).double()
        network.train()
        scores.append(task.evaluate(network, "test"))
        assert network.training
    assert scores[0] == scores[1]
    assert list(scores[0])[:3] == ["AP", "AP50", "AP75"]
    assert len(scores[0]) == 10


def test_detected_boxes_are_looked_at_instead(small, tmp_path):
    content = write_people(tmp_path)
    file = tmp_path / "found.json"
    found = [
        {"image_id": one["image_id"], "category_id": 1, "bbox": one["bbox"], "score": 0.7}
        for one in content["annotations"]
    ]
    file.write_text(json.dumps(found + found[:3]))  # some twice: the worse of two equal poses is dropped
    recipe = replace(RECIPE, validation_fraction=0.0)
    plain, detected = (
        config.read(recipe, fabric()).start(nn.Identity(), 0)
        for config in (small, replace(small, detections=str(file)))
    )
    for task, count in ((plain, 8), (detected, 11)):
        part = task.parts["test"]
        assert part is not None
        assert len(part[0].people) == count
    model = start(small, recipe).task.model
    assert plain.evaluate(model, "test") == pytest.approx(detected.evaluate(model, "test"))


@pytest.mark.parametrize("attention", ["se", "hoga"])
def test_the_backbone_starts_from_the_same_weights_whatever_the_attention(small, attention):
    known = json.loads(json.dumps(small.read(RECIPE, fabric()).describe()))
    plain = new_network(small, known, (), 3).state_dict()
    other = new_network(small, known, parse_attention(attention), 3).state_dict()
    assert plain.keys() < other.keys()
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert all(CHILD in name for name in other.keys() - plain.keys())
    assert known["input_shape"] == [3, 64, 32]
    assert known["keypoints"] == list(KEYPOINTS)


@pytest.mark.parametrize("stop", [1, 4])
def test_a_training_that_stops_and_goes_on_ends_where_it_would_have(small, tmp_path, stop):
    torch.save(advance(start(small, RECIPE, "se"), stop).state_dict(), tmp_path / "state.pt")
    torch.manual_seed(99)
    resumed = start(small, RECIPE, "se")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    whole = start(small, RECIPE, "se")
    advance(resumed, resumed.total_steps - stop)
    advance(whole, whole.total_steps)
    assert_equal_states(resumed.state_dict(), whole.state_dict())
    assert resumed.result() == whole.result()


def test_predictions_are_drawn_and_told(small):
    setting = small.read(RECIPE, fabric())
    known = setting.describe()
    network = new_network(small, known, (), 0).eval()
    picture = Image.fromarray(np.zeros((40, 60), np.uint8))
    told = small.predict(network, known, picture)
    assert (told.picture.size, told.picture.mode) == ((60, 40), "RGB")
    assert json.loads(json.dumps(told.found)) == told.found
    (one,) = told.found
    assert one["box"] == [0, 0, 60, 40]
    assert list(one["keypoints"]) == list(KEYPOINTS)
    told = small.predict(network, known, picture, boxes=[(1, 2, 30, 20), (5, 5, 10, 10)])
    assert [one["box"] for one in told.found] == [[1, 2, 30, 20], [5, 5, 10, 10]]


def test_seen_keypoints_lie_where_they_are_drawn(small):
    known = small.read(RECIPE, fabric()).describe()

    class Sure(nn.Linear):
        def forward(self, input):
            maps = torch.zeros(len(input), 17, 16, 8)
            maps[:, 5, 8, 4] = 1
            return maps

    sure = Sure(1, 1)
    config = replace(small, flip_test=False)
    told = config.predict(sure, known, Image.new("RGB", (80, 160)))
    x, y, height = told.found[0]["keypoints"]["left_shoulder"]
    assert height == 1
    assert np.asarray(told.picture)[round(y), round(x)].tolist() == [0, 255, 0]
    assert told.found[0]["score"] == 1


def test_a_first_look_is_small(small):
    look = small.smoke()
    assert look.data.limit is not None
    assert look.backbone == "resnet18"
    assert look.workers == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_size": (100, 96)}, r"image_size=\(100, 96\); give multiples of 32"),
        ({"crop_margin": 0}, "crop_margin=0 is not positive"),
        ({"sigma": -1}, "sigma=-1 is not positive"),
        ({"scale": 1}, "scale=1 shrinks crops to nothing"),
        ({"turned": 1.5}, r"turned=1\.5 is no share"),
        ({"rotation": -1}, "rotation=-1 is negative"),
        ({"workers": -1}, "workers=-1 is negative"),
    ],
)
def test_senseless_settings_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        Keypoints(**given)


def test_what_is_wrong_with_data_and_recipe_is_one_line(small, tmp_path):
    def refused(config=small, recipe=RECIPE):
        with pytest.raises(InputError) as raised:
            config.read(recipe, fabric())
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "label_smoothing is for classes" in refused(recipe=replace(RECIPE, label_smoothing=0.1))
    assert "too few to hold out" in refused(recipe=replace(RECIPE, validation_fraction=0.95))
    assert "no file of detections at" in refused(replace(small, detections=str(tmp_path / "none.json")))
    with pytest.raises(InputError, match="8 images do not fill a batch of 9"):
        start(small, replace(RECIPE, batch_size=9, validation_fraction=0.0))
    content = write_people(tmp_path)
    for annotation in content["annotations"]:
        annotation["keypoints"] = [0] * 51
    store_people(tmp_path, content)
    assert "none of the 1 images in use of person_keypoints_few.json has a person" in refused()


def test_workers_read_the_same(small):
    alone, helped = (
        replace(small, workers=workers).read(RECIPE, fabric()).start(nn.Identity(), 0) for workers in (0, 1)
    )
    for ours, theirs in zip(alone.batch(1, 1), helped.batch(1, 1)):
        assert torch.equal(ours, theirs)
