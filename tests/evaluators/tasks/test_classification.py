"""Classification: what every task promises, and its own loss and score."""

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn import functional as F

from autola.presets import RETRAIN_PRESETS
from evaluators.data import Batches, Splits
from evaluators.precision import real_dtype
from evaluators.tasks import TASKS, new_network
from evaluators.tasks.classification.loss import accuracy, cross_entropy
from evaluators.tasks.classification.training import evaluate
from search_space.grammar import parse_attention
from supernet.attach import CHILD
from tests.evaluators.trainings import setting, small_splits
from tests.searchers.problems import coloured_squares

FABRIC = Fabric(accelerator="cpu", devices=1)


class Brightest(nn.Module):
    """Logits are the mean of each channel; dropout shows whether it is in training mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.9)

    def forward(self, x):
        return self.dropout(x.mean((2, 3)))


def batches(images, batch_size, **changes):
    options = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "seed": 0, "device": "cpu", "dtype": torch.float64}
    return Batches(images, batch_size, shuffle=False, drop_last=False, **(options | changes))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 50])
@pytest.mark.parametrize("training", [True, False])
def test_every_image_counts_once_whatever_the_batches(batch_size, training):
    images = coloured_squares(11)
    model = Brightest().train(training)
    metrics = evaluate(model, batches(images, batch_size), FABRIC)
    pixels = (images.images.double() / 255 - 0.5) / 0.25
    logits = pixels.mean((1, 2))
    loss = F.cross_entropy(logits, images.labels).item()
    assert metrics["loss"] == pytest.approx(loss, abs=1e-12)
    assert metrics["accuracy"] == (logits.argmax(1) == images.labels).double().mean().item()
    assert model.training is training


def test_processes_share_the_images():
    images = coloured_squares(11)
    sums = []
    for rank in range(3):
        metrics = evaluate(Brightest(), batches(images, 4, rank=rank, world_size=3), FABRIC)
        count = sum(len(labels) for _, labels in batches(images, 4, rank=rank, world_size=3))
        sums.append((metrics["loss"] * count, count))
    whole = evaluate(Brightest(), batches(images, 4), FABRIC)
    assert sum(count for _, count in sums) == 11
    assert sum(loss for loss, _ in sums) / 11 == pytest.approx(whole["loss"], abs=1e-12)


def test_loss_and_score_are_what_their_names_say():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], dtype=torch.bfloat16)
    labels = torch.tensor([0, 1, 1])
    assert accuracy(logits, labels).item() == pytest.approx(2 / 3)
    loss = cross_entropy(logits, labels, 0.1)
    assert loss.dtype == torch.float32
    log_p = logits.float().log_softmax(1)
    target = F.one_hot(labels, 2) * 0.9 + 0.05
    torch.testing.assert_close(loss, -(target * log_p).sum(1).mean())


@pytest.mark.parametrize(("precision", "dtype"), [("64-true", torch.float64), ("bf16-mixed", torch.float32)])
def test_images_and_weights_are_real_numbers_of_the_precision(precision, dtype):
    assert real_dtype(Fabric(accelerator="cpu", devices=1, precision=precision)) == dtype


@pytest.mark.parametrize("text", ["se", "hoga", "cbam[reduction=2]"])
def test_the_backbone_starts_from_the_same_weights_whatever_the_attention(monkeypatch, text):
    whole = setting(monkeypatch)
    plain = new_network(whole.config, whole.describe(), (), 3).state_dict()
    other = new_network(whole.config, whole.describe(), parse_attention(text), 3).state_dict()
    shared = [name for name in other if CHILD not in name]
    assert shared
    assert len(shared) < len(other)
    matched = [name for name in plain if name in other]
    assert matched
    assert all(torch.equal(plain[name], other[name]) for name in matched)
    changed = new_network(whole.config, whole.describe(), (), 4).state_dict()
    assert not all(torch.equal(plain[name], changed[name]) for name in plain)


def test_the_data_brings_its_validation_part_or_a_share_is_held_out(monkeypatch):
    splits = small_splits()
    assert splits.validation is not None
    whole = setting(monkeypatch, splits)
    assert whole.validation is splits.validation
    bare = Splits(splits.train, splits.test)
    held = setting(monkeypatch, bare, validation_fraction=0.25, batch_size=6)
    assert held.validation is not None
    assert len(held.validation) == 6
    assert len(held.train) == 18
    last = setting(monkeypatch, splits, validation_fraction=0.0)
    assert last.validation is None
    assert not last.start(Brightest(), 0).has_validation


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_documents_itself(name):
    assert TASKS[name].__doc__
    assert TASKS[name].name == name
    assert TASKS[name].preset in RETRAIN_PRESETS


def test_what_is_described_is_what_the_network_needs(monkeypatch):
    whole = setting(monkeypatch)
    known = whole.describe()
    assert known["input_shape"] == [3, 6, 5]
    assert known["num_classes"] == 3
    assert known["classes"] == ["red", "green", "blue"]
    assert len(known["mean"]) == len(known["std"]) == 3
