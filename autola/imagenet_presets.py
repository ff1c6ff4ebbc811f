"""Settings of ImageNet: the paper's, and a modern recipe."""

from __future__ import annotations

from autola.configs import RetrainConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks.imagenet import ImageNet

# Supplement of Ma et al.: rate 0.1, a tenth every 30 epochs, 100 epochs, crops of 224, augmentation as in the
# CBAM paper. Batch 256, momentum 0.9 and decay 1e-4 are not stated there: they are those of the CBAM
# authors' script, which Zhu et al. (ICANN 2021) train with as well; so are the mirrored crops of 8 to 100 %
# of the area, and evaluation on the centre of a short side of 256. All training images are trained on, and
# the last epoch counts: ImageNet's val is the test set.
PAPER = RetrainConfig(
    task=ImageNet(backbone="resnet50"),
    train=TrainConfig(
        epochs=100,
        batch_size=256,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(30, 60, 90),
        gamma=0.1,
        validation_fraction=0.0,
        select="last",
    ),
)

# torchvision's recipe of its second ResNet-50 weights (references/classification; "How to Train
# State-Of-The-Art Models Using TorchVision's Latest Primitives", 2021): 600 epochs, 8 x 128 images, rate 0.5,
# cosine, 5 epochs of warm-up from a hundredth, decay 2e-5 but none on norms, TrivialAugment, erasing 0.1,
# smoothing 0.1, mixup 0.2, cutmix 1.0, crops of 176, evaluated on 224 of 232. Its average has decay 0.99998,
# which the script turns into 1 - 2e-5 * (8 * 128 * 32 / 600) every 32 steps: 0.999966 a step. It decays
# biases, which are not decayed here, and repeats each image four times an epoch, which is not done here.
MODERN = RetrainConfig(
    task=ImageNet(
        backbone="resnet50",
        resize=232,
        train_size=176,
        trivial_augment=True,
        erase=0.1,
        mixup=0.2,
        cutmix=1.0,
    ),
    train=TrainConfig(
        epochs=600,
        batch_size=1024,
        learning_rate=0.5,
        momentum=0.9,
        weight_decay=2e-5,
        decay="weights",
        schedule="cosine",
        warmup_epochs=5,
        warmup_factor=0.01,
        label_smoothing=0.1,
        ema=0.999966,
        validation_fraction=0.0,
        select="last",
    ),
)

IMAGENET = {"imagenet": PAPER, "imagenet-modern": MODERN}
"""Name of a preset to its settings."""
