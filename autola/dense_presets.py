"""The papers' settings of keypoints and segmentation, each number with its source.

Backbones start from ImageNet's weights, as in Xiao et al. and in CCNet's code. Everything is trained on, and
the last epoch counts.
"""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig
from autola.detection_presets import PRETRAINED
from evaluators.recipe import TrainConfig
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.segmentation import Segmentation
from evaluators.tasks.segmentation.data import SceneData

# 8 GPUs x 1 image, 60k iterations: Cityscapes has 2,975 training images, 371 steps an epoch; 162 epochs
# are 60,102 steps. Rate 0.005 with poly power 0.9, momentum 0.9, decay 1e-4.
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

CAMVID = SceneData(
    validation="val",
    test="test",
    classes=(
        *("sky", "building", "pole", "road", "pavement", "tree"),
        *("sign", "fence", "car", "pedestrian", "bicyclist"),
    ),
    ignore=11,
)

DENSE = {
    # Supplement of Ma et al.: SimpleBaseline with ResNet-50, Adam, 140 epochs, batch 128, rate 1e-3 / 10 at
    # 90 and 120. The rest is that of Xiao et al. (see `Keypoints`), whose code gives Adam no decay. The
    # supplement's sub-pixel refinement follows arXiv:2002.00537, whose details are not known to us; second
    # order on the logarithm of the maps is our reading of it.
    "coco-keypoints": RetrainConfig(
        task=Keypoints(weights=PRETRAINED, decode="dark"),
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
    # Zhu, Cheng et al., ICCV 2019, appendix; scales and crops are the defaults of `Segmentation`.
    "cityscapes": RetrainConfig(
        task=Segmentation(data=SceneData(layout="cityscapes"), weights=PRETRAINED), train=POLY
    ),
    # Ours: the same recipe for CamVid's 480x360 images and 11 classes, in SegNet's layout.
    "camvid": RetrainConfig(
        task=Segmentation(data=CAMVID, backbone="resnet18", crop=321, weights=PRETRAINED),
        train=replace(POLY, validation_fraction=0.1, select="best"),
    ),
}
