"""The numbers of the papers (PAPERS.md 1.5 and 1.6)."""

import pytest

from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from evaluators.data import DataConfig
from evaluators.tasks.classification import Classification
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.segmentation import Segmentation
from searchers.darts import Darts


@pytest.mark.parametrize(
    ("name", "backbone"), [("cifar10", "cifar_resnet20"), ("cifar10-34", "cifar_resnet34")]
)
def test_the_search_of_the_public_script(name, backbone):
    preset = SEARCH_PRESETS[name]
    assert preset.backbone == backbone
    assert preset.data == DataConfig(name="cifar10", padding=4, flip=True, cutout=0)
    assert preset.searcher == Darts(
        epochs=50,
        batch_size=128,
        learning_rate=0.025,
        min_learning_rate=1e-4,
        momentum=0.9,
        weight_decay=5e-4,
        clip=5.0,
        alpha_learning_rate=3e-3,
        alpha_betas=(0.5, 0.999),
        alpha_weight_decay=1e-3,
    )
    space = preset.resolved_space()
    assert (space.num_nodes, len(space.primitives), space.fuse) == (4, 9, "double")


@pytest.mark.parametrize(
    ("name", "data", "width", "epochs", "batch_size", "clip"),
    [
        ("cifar10", "cifar10", None, 500, 256, 0.0),
        ("cifar10-script", "cifar10", None, 600, 256, 5.0),
        ("cifar100", "cifar100", 64, 500, 128, 0.0),
    ],
)
def test_the_retrainings_of_the_papers(name, data, width, epochs, batch_size, clip):
    task, recipe = RETRAIN_PRESETS[name].task, RETRAIN_PRESETS[name].train
    assert isinstance(task, Classification)
    assert (task.data.name, task.width, task.backbone) == (data, width, "cifar_resnet20")
    assert (recipe.epochs, recipe.batch_size, recipe.clip) == (epochs, batch_size, clip)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 5e-4)
    assert (recipe.schedule, recipe.min_learning_rate) == ("cosine", 0.0)
    assert (recipe.warmup_epochs, recipe.label_smoothing, recipe.drop_path, recipe.ema) == (0, 0, 0, 0)


def test_digits_are_the_default_and_never_mirrored():
    task = RETRAIN_PRESETS["digits"].task
    assert isinstance(task, Classification)
    for preset in (SEARCH_PRESETS["digits"], task):
        assert preset.data.name == "digits"
        assert not preset.data.flip
    assert RETRAIN_PRESETS["digits"].seeds == (0, 1, 2)


def test_the_keypoints_of_the_supplement():
    preset = RETRAIN_PRESETS["coco-keypoints"]
    task, recipe = preset.task, preset.train
    assert isinstance(task, Keypoints)
    assert (task.backbone, task.image_size, task.sigma) == ("resnet50", (256, 192), 2.0)
    assert (task.crop_margin, task.scale, task.rotation, task.turned) == (1.25, 0.3, 40, 0.6)
    assert task.flip
    assert task.flip_test
    assert (recipe.optimizer, recipe.epochs, recipe.batch_size, recipe.weight_decay) == ("adam", 140, 128, 0)
    rates = [recipe.rate(epoch * 1000, 1000) for epoch in (0, 89, 90, 119, 120, 139)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert (recipe.validation_fraction, recipe.select) == (0, "last")


def test_the_segmentation_of_empirical_attention():
    preset = RETRAIN_PRESETS["cityscapes"]
    task, recipe = preset.task, preset.train
    assert isinstance(task, Segmentation)
    assert (task.data.layout, task.head, task.backbone) == ("cityscapes", "fcn", "resnet50")
    assert (task.crop, task.scales, task.flip) == (769, (0.7, 2.0), True)
    assert (recipe.optimizer, recipe.batch_size, recipe.momentum, recipe.weight_decay) == (
        "sgd",
        8,
        0.9,
        1e-4,
    )
    steps_per_epoch = 2975 // recipe.batch_size
    assert recipe.epochs * steps_per_epoch == pytest.approx(60_000, rel=0.005)
    half = recipe.rate(recipe.epochs * steps_per_epoch // 2, steps_per_epoch)
    assert (recipe.rate(0, steps_per_epoch), half) == pytest.approx((0.005, 0.005 * 0.5**0.9))


def test_camvids_classes_are_eleven():
    task = RETRAIN_PRESETS["camvid"].task
    assert isinstance(task, Segmentation)
    assert (len(task.data.classes), task.data.ignore) == (11, 11)
