"""The papers' settings by name, each number with its source, and a first try on digits."""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig, SearchConfig, TaskSearch
from autola.dense_presets import DENSE
from autola.detection_presets import DETECTION
from autola.imagenet_presets import IMAGENET
from autola.translation_presets import TRANSLATION
from evaluators.data import DataConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks import TaskConfig
from evaluators.tasks.classification import Classification
from foundation.errors import InputError
from foundation.registry import Registry
from searchers.darts import Darts

ADAM_RATE = 2e-3
"""Learning rate of searches by Adam; ours, for small Transformers."""

SEARCH_PRESETS: Registry[SearchConfig] = Registry("search preset")
RETRAIN_PRESETS: Registry[RetrainConfig] = Registry("retrain preset")

DIGITS = DataConfig(name="digits", padding=1, flip=False)
CIFAR10 = DataConfig(name="cifar10")

SEARCH_PRESETS.add(
    "digits",
    SearchConfig(
        data=DIGITS,
        backbone="cifar_resnet8",
        # 160 steps in all, a sixtieth of the paper's: the alphas have to move faster.
        searcher=Darts(epochs=20, batch_size=64, alpha_learning_rate=0.03),
        threads=1,  # the maps are too small to share
    ),
)

# Ma et al., NeurIPS 2020: "the ResNet-20 backbone on CIFAR10"; numbers are the defaults of `Darts`.
SEARCH_PRESETS.add("cifar10", SearchConfig(data=CIFAR10, searcher=Darts()))

# The network that the public search script really builds (model_search.py:15).
SEARCH_PRESETS.add("cifar10-34", SearchConfig(data=CIFAR10, backbone="cifar_resnet34", searcher=Darts()))

RETRAIN_PRESETS.add(
    "digits",
    RetrainConfig(
        task=Classification(data=DIGITS, backbone="cifar_resnet8"),
        train=TrainConfig(epochs=30, batch_size=64, learning_rate=0.05, warmup_epochs=2, clip=5.0),
        seeds=(0, 1, 2),
        threads=1,
    ),
)

# Supplement of Ma et al.: SGD, 500 epochs, rate 0.1, momentum 0.9, decay 5e-4, batch 256. The schedule is
# not stated there; the public script's half cosine to 0 is taken.
RETRAIN_PRESETS.add(
    "cifar10",
    RetrainConfig(
        task=Classification(data=CIFAR10), train=TrainConfig(epochs=500, batch_size=256, learning_rate=0.1)
    ),
)

# The public training script (test.py:19-40, 105): 600 epochs, clipping at 5.
RETRAIN_PRESETS.add(
    "cifar10-script",
    RetrainConfig(
        task=Classification(data=CIFAR10),
        train=TrainConfig(epochs=600, batch_size=256, learning_rate=0.1, clip=5.0),
    ),
)

# Supplement of Ma et al.: as CIFAR-10 with base width 64 and batch 128.
RETRAIN_PRESETS.add(
    "cifar100",
    RetrainConfig(
        task=Classification(data=DataConfig(name="cifar100"), width=64),
        train=TrainConfig(epochs=500, batch_size=128, learning_rate=0.1),
    ),
)

for name, preset in (IMAGENET | DETECTION | DENSE | TRANSLATION).items():
    RETRAIN_PRESETS.add(name, preset)


def search_preset(name: str) -> SearchConfig | TaskSearch:
    """The settings of a search by name: a preset of searches, or one of retrainings, in whose network it is.

    Raises:
        InputError: If there is no such preset.
    """
    if name in SEARCH_PRESETS or name not in RETRAIN_PRESETS:
        return SEARCH_PRESETS[name]
    preset = RETRAIN_PRESETS[name]
    if isinstance(preset.task, Classification):
        raise InputError(
            f"{name} is a preset of trainings; search on its images with the preset cifar10 and --data.name "
            f"{preset.task.data.name}"
        )
    return replace(search_in(preset.task, preset.train), threads=preset.threads)


def search_in(task: TaskConfig, train: TrainConfig) -> TaskSearch:
    """A search of placements in the network of a task, by what is known of its trainings.

    It takes the batches of the recipe that it halves the data of, Adam where that does, and no higher rate.
    Its cosine begins without a warm-up, so Adam has a lower one than recipes with a warm-up.
    """
    searcher = Darts(batch_size=train.part_size)
    if train.optimizer != "sgd":
        searcher = replace(searcher, optimizer="adam", learning_rate=ADAM_RATE, weight_decay=0.0)
    rate = min(searcher.learning_rate, train.learning_rate)
    lowest = min(searcher.min_learning_rate, rate)
    norm = "frozen" if train.norm == "frozen" else "train"
    searcher = replace(searcher, learning_rate=rate, min_learning_rate=lowest)
    return TaskSearch(task=task, searcher=searcher, norm=norm)
