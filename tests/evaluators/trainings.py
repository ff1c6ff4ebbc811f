"""Small trainings for tests."""

from __future__ import annotations

from typing import Any

from lightning.fabric import Fabric

from evaluators.data import DataConfig, Splits
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.classification import Classification
from evaluators.tasks.classification import setting as classification_setting
from evaluators.train import Training
from tests.searchers.problems import coloured_squares

STEPS = 4
"""Steps of an epoch."""


def small_splits(num_train: int = 24, num_test: int = 11) -> Splits:
    """Coloured squares; the test set does not fill its last batch."""
    return Splits(
        coloured_squares(num_train, seed=1), coloured_squares(num_test, seed=2), coloured_squares(9, seed=3)
    )


def setting(monkeypatch: Any, splits: Splits | None = None, *, augmented: bool = True, **recipe: Any) -> Any:
    """Classification of coloured squares by cifar_resnet8 of 4 channels, in float64."""
    whole = splits or small_splits()
    values: dict[str, Any] = {"epochs": 3, "batch_size": len(whole.train) // STEPS}
    monkeypatch.setattr(classification_setting, "read", lambda config: whole)
    config = Classification(
        data=DataConfig(name="squares", padding=int(augmented), flip=augmented),
        backbone="cifar_resnet8",
        width=4,
    )
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    return config.read(TrainConfig(**(values | recipe)), fabric)


def training(
    monkeypatch: Any, splits: Splits | None = None, *, seed: int = 5, augmented: bool = True, **recipe: Any
) -> Training:
    """A training at step 0."""
    whole = setting(monkeypatch, splits, augmented=augmented, **recipe)
    network = new_network(whole.config, whole.describe(), (), seed)
    return Training(whole.start(network, seed), whole.recipe, whole.fabric, seed)


def advance(job: Training, num_steps: int) -> Training:
    for _ in range(num_steps):
        job.advance()
        if job.step % job.steps_per_epoch == 0:
            job.report()
    return job
