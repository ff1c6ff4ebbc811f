"""Comparisons by name: those of the studies, and a first try on digits."""

from __future__ import annotations

from dataclasses import replace

from autola.comparing.config import CompareConfig
from autola.presets import CIFAR10, RETRAIN_PRESETS, SEARCH_PRESETS
from evaluators.recipe import TrainConfig
from evaluators.tasks import TASKS
from evaluators.tasks.classification import Classification
from foundation.registry import Registry
from searchers import SEARCHERS
from searchers.darts import Darts
from searchers.finals import Finals
from searchers.guards import Guards

COMPARE_PRESETS: Registry[CompareConfig] = Registry("compare preset")

_digits = RETRAIN_PRESETS["digits"]

COMPARE_PRESETS.add(
    "digits",
    CompareConfig(
        task=_digits.task,
        train=replace(_digits.train, epochs=15),
        # Multiply-accumulates, not time: the same comparison on every machine.
        search=replace(SEARCH_PRESETS["digits"], target=("macs<=1.2x",), threads=None),
        match="macs",
        # Of 20 cells with 4 seeds each: outputs/published/benchmark-digits.json.
        spread=(0.0, 0.005),
        margin=0.01,
        threads=1,
    ),
)

COMPARE_PRESETS.add(
    "cifar10",
    CompareConfig(
        task=RETRAIN_PRESETS["cifar10"].task,
        train=RETRAIN_PRESETS["cifar10"].train,
        search=replace(SEARCH_PRESETS["cifar10"], target=("latency<=1.6x",)),
    ),
)

# CIFAR-10 at 16 pixels, minutes a training on one CPU core: two passes over all its images there take half as
# long as one over 30,000 at 32 pixels, and the plain network's seeds differ by 0.7 points instead of 1.7. A
# deployed cell costs 1.5 times the plain network's latency with skip_connect on all edges, 1.7 times with
# separable convolutions on all: a limit of 1.6 leaves cells of skip_connect and SE that hardly differ. With
# alphas that move from the first step on, skip_connect leads on five of ten edges after one epoch; so they
# rest during one, and finals choose; one search of three was stopped by its guard all the same. The spread is
# that of the study's found and random cells: outputs/published/study-cells.
_AT_16 = replace(CIFAR10, image_size=16, padding=2)

COMPARE_PRESETS.add(
    "cifar10-short",
    CompareConfig(
        task=Classification(data=_AT_16, backbone="cifar_resnet8", width=16),
        train=TrainConfig(
            epochs=2,
            batch_size=64,
            learning_rate=0.05,
            warmup_steps=50,
            validation_fraction=0.0,
            select="last",
        ),
        search=replace(
            SEARCH_PRESETS["cifar10"],
            data=replace(_AT_16, limit=20_000),
            backbone="cifar_resnet8",
            width=16,
            target=("latency<=1.7x",),
            searcher=Darts(
                epochs=3,
                batch_size=64,
                alpha_learning_rate=0.01,
                alpha_warmup=0.34,
                guards=Guards(most_skips=4),
                finals=Finals(count=6, neighbours=6, epochs=2, learning_rate=0.05),
            ),
        ),
        control_seeds=(0, 1, 2),
        spread=(0.0, 0.013),
        threads=1,
    ),
)


def usual_comparison(preset: str, task: str | None = None, searcher: str | None = None) -> CompareConfig:
    """What a command line starts from.

    Args:
        preset: Name of a preset.
        task: Name of what is trained; of another than the preset's, task and recipe are those of the
            task's own retrain preset.
        searcher: Name of how cells are searched; of another than the preset's, its usual settings.
    """
    config = COMPARE_PRESETS[preset]
    if task is not None and task != config.task.name:
        own = RETRAIN_PRESETS[TASKS[task].preset]
        config = replace(config, task=own.task, train=own.train, spread=None)
    if searcher is not None and config.search is not None and searcher != config.search.searcher.name:
        config = replace(config, search=replace(config.search, searcher=SEARCHERS[searcher]()))
    return config
