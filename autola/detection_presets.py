"""The papers' settings of detection on COCO, each number with its source.

Torchvision's detectors stand for mmdetection's. The stem, the first stage and all norms of the backbone stay
as they come trained (frozen_stages=1, norm_eval=True in mmdetection's configs, which the papers build on).
"""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks.coco_detection import CocoDetection
from supernet.networks.config import DetectorConfig

PRETRAINED = "IMAGENET1K_V1"

FASTER_RCNN = CocoDetection(detector=DetectorConfig(trainable_stages=3), weights=PRETRAINED)

# Zhu, Cheng et al., ICCV 2019, appendix: 8 GPUs x 2 images, 12 epochs, rate 0.02 / 10 at 8 and 11, momentum
# 0.9, decay 1e-4. The warm-up is that of its configs in mmdetection, 500 iterations from 0.001 of the rate.
ONE_X = TrainConfig(
    epochs=12,
    batch_size=16,
    learning_rate=0.02,
    weight_decay=1e-4,
    schedule="step",
    milestones=(8, 11),
    warmup_steps=500,
    warmup_factor=0.001,
    norm="frozen",
    validation_fraction=0.0,
    select="last",
)

DETECTION = {
    # Supplement of Ma et al.: 14 epochs, batch 2, rate 0.01 / 10 at 8 and 11, momentum 0.9, decay 1e-4,
    # warm-up of 500 iterations. Not stated: what the warm-up begins with (mmdetection's share is taken), and
    # whether 2 images are the batch or each GPU's (mmdetection's rule, 0.02 for 16, makes 0.01 that of 8).
    "coco-faster-rcnn": RetrainConfig(
        task=FASTER_RCNN, train=replace(ONE_X, epochs=14, batch_size=2, learning_rate=0.01)
    ),
    # Supplement of Ma et al.: 65 epochs, batch 128, rate 0.01 / 10 at 43 and 54, momentum 0.9, decay 5e-4 but
    # for biases and norms, linear warm-up during the first epoch. Changes of the images: the SSD paper's.
    "coco-ssd300": RetrainConfig(
        task=CocoDetection(detector=DetectorConfig(name="ssd300"), weights=PRETRAINED, changes="ssd"),
        train=TrainConfig(
            epochs=65,
            batch_size=128,
            learning_rate=0.01,
            weight_decay=5e-4,
            decay="weights",
            schedule="step",
            milestones=(43, 54),
            warmup_epochs=1.0,
            validation_fraction=0.0,
            select="last",
        ),
    ),
    "coco-ga": RetrainConfig(task=FASTER_RCNN, train=ONE_X),
    # Zhu, Hofstee et al., ICANN 2021: ResNet-101, attention in the pyramid, "aw[stages=fpn]". The settings of
    # its training on COCO are not known: those above are taken.
    "coco-aw": RetrainConfig(
        task=replace(FASTER_RCNN, detector=replace(FASTER_RCNN.detector, backbone="resnet101")), train=ONE_X
    ),
    # Bello et al., ICCV 2019: RetinaNet from random weights. Its schedule is not known: that of torchvision's
    # own is taken (references/detection: 26 epochs, batch 16, rate 0.01 / 10 at 16 and 22).
    "coco-aa": RetrainConfig(
        task=CocoDetection(detector=DetectorConfig(name="retinanet")),
        train=replace(ONE_X, epochs=26, learning_rate=0.01, milestones=(16, 22), norm="train"),
    ),
}
