"""ImageNet: pictures as the official scripts prepare them, from files read when their turn comes."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

from autola.presets import RETRAIN_PRESETS
from evaluators.data.pictures import Normalise, Pictures, list_pictures, open_picture
from evaluators.recipe import TrainConfig
from evaluators.tasks.classification.loss import accuracy, cross_entropy
from evaluators.tasks.classification.training import evaluate
from evaluators.tasks.imagenet import MEAN, STD, ImageNet, ImageNetData
from foundation.errors import InputError
from search_space.grammar import parse_attention
from tests.evaluators.pictures import write_pictures

FABRIC = Fabric(accelerator="cpu", devices=1)
SMALL = ImageNet(backbone="resnet18", image_size=24, resize=28, workers=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("imagenet"))


def setting(root, task=SMALL, **recipe) -> Any:
    values = {"epochs": 2, "batch_size": 4, "validation_fraction": 0.0}
    return replace(task, data=replace(task.data, root=str(root))).read(
        TrainConfig(**(values | recipe)), FABRIC
    )


def test_a_picture_is_evaluated_as_the_official_scripts_do(root):
    official = transforms.Compose(
        [
            transforms.Resize(28),
            transforms.CenterCrop(24),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    task = setting(root).start(nn.Identity(), 0)
    images = torch.cat([images for images, _ in task.splits["test"]])
    files = setting(root).test.files
    assert len(files) == len(images) == 12
    for file, ours in zip(files, images):
        with Image.open(file) as picture:
            torch.testing.assert_close(ours, official(picture.convert("RGB")))


def test_random_crops_are_a_function_of_their_seed(root):
    pictures = Pictures(list_pictures(root / "train"), replace(SMALL, trivial_augment=True).random_crop())
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = [pictures.sample(number, 7)[0] for number in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = [pictures.sample(number, 7)[0] for number in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(one, two))
    other = [pictures.sample(number, 8)[0] for number in range(4)]
    assert not all(torch.equal(a, b) for a, b in zip(one, other))
    assert {tuple(image.shape) for image in one} == {(3, 24, 24)}
    assert {image.dtype for image in one} == {torch.uint8}


def test_an_erased_part_is_nearly_zero_once_normalised(root):
    task = replace(SMALL, augment=True, erase=1.0)
    whole = replace(task, erase=0.0)
    files = list_pictures(root / "train")
    erased, plain = (Pictures(files, each.random_crop()).sample(0, 3)[0] for each in (task, whole))
    changed = (erased != plain).any(0)
    assert 0 < changed.float().mean() < 1
    normalised = Normalise(MEAN, STD)(erased[None])[0]
    assert normalised[:, changed].abs().max() < 0.01


def test_classes_are_sorted_and_those_of_the_training_set(root, tmp_path):
    known = setting(root).describe()
    assert known["classes"] == ["a", "b", "c"]
    assert known["input_shape"] == [3, 24, 24]
    write_pictures(tmp_path)
    for file in (tmp_path / "val" / "a").iterdir():
        file.unlink()
    (tmp_path / "val" / "a").rmdir()
    assert setting(tmp_path).test.labels.unique().tolist() == [1, 2]
    (tmp_path / "val" / "b").rename(tmp_path / "val" / "d")
    with pytest.raises(InputError, match="classes that the training set lacks: d"):
        setting(tmp_path)


def test_a_share_is_held_out_or_the_data_brings_it(root, tmp_path):
    held = setting(root, validation_fraction=0.25)
    assert len(held.train) == 9
    assert held.validation.labels.tolist() == [0, 1, 2]
    assert not set(held.train.files) & set(held.validation.files)
    assert held.start(nn.Identity(), 0).has_validation
    assert not setting(root).start(nn.Identity(), 0).has_validation
    write_pictures(tmp_path, parts=("train", "val", "test"))
    brought = setting(tmp_path, validation_fraction=0.1)
    assert "val" in brought.validation.files[0]
    assert "test" in brought.test.files[0]
    assert len(brought.train) == 12


def test_a_limit_takes_pictures_of_all_classes(root):
    limited = setting(root, replace(SMALL, data=ImageNetData(limit=6)))
    assert limited.train.labels.tolist() == limited.test.labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "truncated"),
        (lambda path: path.write_bytes(b"no picture"), "no image that Pillow knows"),
        (lambda path: path.unlink(), "no image at"),
    ],
    ids=["truncated", "other", "gone"],
)
def test_a_picture_that_cannot_be_read_is_named(tmp_path, spoil, problem):
    root = write_pictures(tmp_path)
    whole = setting(root)
    spoil(root / "val" / "b" / "2.jpg")
    batches = whole.start(nn.Identity(), 0).splits["test"]
    with pytest.raises(InputError, match=problem) as told:
        list(batches)
    assert "2.jpg" in str(told.value)


def test_top5_counts_labels_among_the_five_likeliest():
    logits = torch.randn(40, 9, generator=torch.Generator().manual_seed(1)).double()
    labels = torch.arange(40) % 9

    class Given:
        def __iter__(self):
            yield logits[:25], labels[:25]
            yield logits[25:], labels[25:]

    metrics = evaluate(nn.Identity(), Given(), FABRIC, top5=True)  # pyright: ignore[reportArgumentType]
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    assert metrics["accuracy"] == (ranks < 1).double().mean().item()
    assert metrics["top5_accuracy"] == (ranks < 5).double().mean().item()
    assert 0 < metrics["accuracy"] < metrics["top5_accuracy"] < 1


def test_mixed_batches_have_shares_of_classes(root):
    task = setting(root, replace(SMALL, mixup=0.2, cutmix=1.0)).start(nn.Identity(), 0)
    images, labels = task.batch(0, 0)
    seen = []
    for seed in range(6):
        torch.manual_seed(seed)
        mixed, shares = task.mixing(images, labels)
        torch.testing.assert_close(shares.sum(1), torch.ones(4))
        assert mixed.shape == images.shape
        seen.append(mixed)
    assert not any(torch.equal(a, b) for a, b in pairwise(seen))
    assert setting(root).start(nn.Identity(), 0).mixing is None


def test_loss_and_accuracy_of_shares():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    shares = torch.tensor([[0.7, 0.3, 0], [0, 1, 0], [0.2, 0.2, 0.6], [0, 0.5, 0.5], [1, 0, 0]])
    smoothed = shares.double() * 0.9 + 0.1 / 3
    expected = -(smoothed * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(cross_entropy(logits, shares, 0.1), expected, rtol=0, atol=1e-7)
    hard = F.one_hot(torch.tensor([2, 0, 1, 1, 0]), 3)
    labels = hard.argmax(1)
    torch.testing.assert_close(cross_entropy(logits, hard.float()), cross_entropy(logits, labels))
    assert accuracy(logits, hard.float()) == accuracy(logits, labels)


def test_operators_made_for_one_size_of_map_need_one_size_of_crop(root):
    data = setting(root).describe()
    with pytest.raises(InputError, match="cannot train on crops of 16 pixels and be evaluated on 24"):
        replace(SMALL, train_size=16).network(data, parse_attention("aa"))
    replace(SMALL, train_size=24).network(data, parse_attention("aa"))


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"image_size": 64, "resize": 32}, "does not fit into a short side of 32"),
        ({"workers": -1}, "workers=-1 is negative"),
        ({"erase": 2.0}, "erase=2.0 is no share"),
    ],
)
def test_impossible_settings_are_refused(task, problem):
    with pytest.raises(InputError, match=problem):
        ImageNet(**task)


def test_a_limit_below_one_is_refused():
    with pytest.raises(InputError, match="limit=0 is not positive"):
        ImageNetData(limit=0)


def test_the_presets_are_the_papers_and_torchvisions():
    paper, modern = RETRAIN_PRESETS["imagenet"], RETRAIN_PRESETS["imagenet-modern"]
    rates = [paper.train.rate(epoch * 10, 10) for epoch in (0, 29, 30, 60, 90, 99)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 1e-4, 1e-4])
    assert isinstance(paper.task, ImageNet)
    assert isinstance(modern.task, ImageNet)
    assert (paper.task.image_size, paper.task.resize, paper.task.train_size) == (224, 256, None)
    assert modern.train.rate(0, 10) == pytest.approx(0.005)
    alpha = 2e-5 * 8 * 128 * 32 / 600
    assert modern.train.ema**32 == pytest.approx(1 - alpha, abs=2e-5)


def test_a_first_look_is_small():
    small = RETRAIN_PRESETS["imagenet-modern"].smoke()
    assert isinstance(small.task, ImageNet)
    assert (small.task.backbone, small.task.image_size, small.task.train_size) == ("resnet18", 64, None)
    assert small.task.data.limit == 200
    assert small.task.mixup == 0.2


def test_pictures_of_every_mode_open_in_rgb(root):
    assert {open_picture(file).mode for file in list_pictures(root / "train").files} == {"RGB"}
