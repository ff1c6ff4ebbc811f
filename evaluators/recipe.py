"""How a network is trained: the recipe, checked, and its learning rates."""

from __future__ import annotations

import math
from typing import Literal

from search_space.config import config
from search_space.errors import InputError


@config
class TrainConfig:
    """How a network is trained."""

    epochs: int = 500
    """Passes over the training set."""
    batch_size: int = 256
    """Images a step, over all processes."""
    learning_rate: float = 0.1
    """At its highest."""
    momentum: float = 0.9
    """Of SGD."""
    nesterov: bool = False
    """Whether the momentum is Nesterov's."""
    weight_decay: float = 5e-4
    """L2 penalty on all weights."""
    schedule: Literal["cosine", "step"] = "cosine"
    """How the learning rate falls: half a cosine to `min_learning_rate`, or by `gamma` at `milestones`."""
    min_learning_rate: float = 0.0
    """At the end of the cosine."""
    milestones: tuple[int, ...] = ()
    """Epochs at which the step schedule multiplies the learning rate by `gamma`."""
    gamma: float = 0.1
    """Factor of the step schedule."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises from 0."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 for no clipping."""
    drop_path: float = 0.0
    """Probability of dropping the last block's branch in training; falls linearly towards the first."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is then evaluated; 0 for none."""
    validation_fraction: float = 0.1
    """Share of the training set held out, where the data has no validation part; 0 for none."""
    select: Literal["best", "last"] = "best"
    """Weights kept: of the best epoch on the held-out part, or of the last epoch."""

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate")
        shares = ("momentum", "label_smoothing", "drop_path", "ema", "validation_fraction")
        rest = ("weight_decay", "min_learning_rate", "warmup_epochs", "clip", "gamma")
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} is not positive")
        for name in shares:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} is not in 0 ... 1 (1 excluded)")
        for name in rest:
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is negative")
        if self.warmup_epochs >= self.epochs:
            raise InputError(f"a warm-up of {self.warmup_epochs} epochs does not end within {self.epochs}")
        if self.schedule == "step" and not self.milestones:
            raise InputError("the step schedule needs milestones, for example 150 300")
        if self.nesterov and not self.momentum:
            raise InputError("nesterov needs a momentum")

    def rate(self, epoch: float) -> float:
        """The learning rate at a time counted in epochs.

        The warm-up is linear and by the step; cosine and milestones go by whole epochs.
        """
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        whole = math.floor(epoch)
        if self.schedule == "step":
            return self.learning_rate * self.gamma ** sum(whole >= m for m in self.milestones)
        return cosine(whole, self.epochs, self.learning_rate, self.min_learning_rate)


def cosine(epoch: int, epochs: int, highest: float, lowest: float) -> float:
    """Half a cosine from `highest` at epoch 0 to `lowest` at `epochs`."""
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / epochs)) / 2
