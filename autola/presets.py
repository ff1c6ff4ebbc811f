"""The papers' settings by name, each number with its source, and a first try on digits."""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig, SearchConfig
from evaluators.data import DataConfig
from evaluators.data.scenes import SceneData
from evaluators.recipe import TrainConfig
from evaluators.tasks.classification import Classification
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.segmentation import Segmentation
from search_space.registry import Registry
from searchers.darts import Darts

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

# Supplement of Ma et al.: SimpleBaseline with ResNet-50, Adam, 140 epochs, batch 128, rate 1e-3, a tenth of
# it from epoch 90 and from 120. Everything else as Xiao et al. have it (the defaults of `Keypoints`), whose
# code gives Adam no decay. All training pictures are trained on, and the last epoch counts.
RETRAIN_PRESETS.add(
    "coco-keypoints",
    RetrainConfig(
        task=Keypoints(),
        train=TrainConfig(
            epochs=140,
            batch_size=128,
            optimizer="adam",
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="step",
            milestones=(90, 120),
            validation_fraction=0.0,
            select="last",
        ),
    ),
)

# Zhu et al., ICCV 2019, appendix: SGD, rate 0.005 with poly power 0.9, momentum 0.9, decay 1e-4, 8 GPUs x 1
# picture, 60k iterations; crops are the defaults of `Segmentation`. Cityscapes has 2,975 training pictures,
# 371 steps an epoch: 162 epochs are 60,102 steps.
POLY = TrainConfig(
    epochs=162,
    batch_size=8,
    learning_rate=0.005,
    weight_decay=1e-4,
    schedule="poly",
    power=0.9,
    validation_fraction=0.0,
    select="last",
)
RETRAIN_PRESETS.add(
    "cityscapes", RetrainConfig(task=Segmentation(data=SceneData(layout="cityscapes")), train=POLY)
)

# Ours: the same recipe for CamVid's 480x360 pictures and 11 classes, as SegNet's authors have laid them out.
RETRAIN_PRESETS.add(
    "camvid",
    RetrainConfig(
        task=Segmentation(
            data=SceneData(
                validation="val",
                test="test",
                classes=(
                    "sky",
                    "building",
                    "pole",
                    "road",
                    "pavement",
                    "tree",
                    "sign",
                    "fence",
                    "car",
                    "pedestrian",
                    "bicyclist",
                ),
                ignore=11,
            ),
            backbone="resnet18",
            crop=321,
        ),
        train=replace(POLY, validation_fraction=0.1, select="best"),
    ),
)
