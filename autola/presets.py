"""The papers' settings by name, each number with its source, and a first try on digits."""

from __future__ import annotations

from autola.configs import RetrainConfig, SearchConfig
from autola.dense_presets import DENSE
from autola.detection_presets import DETECTION
from evaluators.data import DataConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks.classification import Classification
from evaluators.tasks.imagenet import ImageNet
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

# Supplement of Ma et al.: rate 0.1, a tenth every 30 epochs, 100 epochs, crops of 224, augmentation as in the
# CBAM paper. Batch 256, momentum 0.9 and decay 1e-4 are not stated there: they are those of the CBAM
# authors' script, which Zhu et al. (ICANN 2021) train with as well; so are the mirrored crops of 8 to 100 %
# of the area, and evaluation on the centre of a short side of 256. All training images are trained on, and
# the last epoch counts: ImageNet's val is the test set.
RETRAIN_PRESETS.add(
    "imagenet",
    RetrainConfig(
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
    ),
)

# torchvision's recipe of its second ResNet-50 weights (references/classification; "How to Train
# State-Of-The-Art Models Using TorchVision's Latest Primitives", 2021): 600 epochs, 8 x 128 images, rate 0.5,
# cosine, 5 epochs of warm-up from a hundredth, decay 2e-5 but none on norms, TrivialAugment, erasing 0.1,
# smoothing 0.1, mixup 0.2, cutmix 1.0, crops of 176, evaluated on 224 of 232. Its average has decay 0.99998,
# which the script turns into 1 - 2e-5 * (8 * 128 * 32 / 600) every 32 steps: 0.999966 a step. It decays
# biases, which are not decayed here, and repeats each picture four times an epoch, which is not done here.
RETRAIN_PRESETS.add(
    "imagenet-modern",
    RetrainConfig(
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
    ),
)

for name, preset in (DETECTION | DENSE).items():
    RETRAIN_PRESETS.add(name, preset)
