"""How a network is trained: the recipe, checked, and its learning rates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@config
class TrainConfig:
    """How a network is trained."""

    epochs: int = 500
    """Passes over the training set; more train longer."""
    batch_size: int = 256
    """Images in a step, or tokens where text is trained on, over all processes together; more need more
    memory and make fewer steps an epoch."""
    accumulate: int = 1
    """Equal parts that a batch is computed in, one after the other: more take less memory; batch norms see
    each part alone."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """Optimizer: stochastic gradient descent, Adam, or Adam with decoupled weight decay."""
    learning_rate: float = 0.1
    """Highest learning rate, after the warm-up and before it falls; higher trains faster and less stably."""
    momentum: float = 0.9
    """Momentum of SGD; higher averages gradients over more steps. Adam's first beta is 0.9."""
    beta2: float = 0.999
    """Adam's second beta; higher averages squares of gradients over more steps."""
    epsilon: float = 1e-8
    """What Adam adds to the root of the averaged squares; higher moves weights of small gradients less."""
    nesterov: bool = False
    """Use Nesterov's momentum: the gradient is taken where the momentum leads; for sgd."""
    weight_decay: float = 5e-4
    """Weight decay; higher keeps the weights smaller. A factor of an L2 penalty in the gradient; with adamw,
    the share of the weights, times the learning rate, that each step takes off."""
    decay: Literal["all", "weights"] = "all"
    """Parameters that decay: all, or the weights alone, without biases and the parameters of norms."""
    schedule: Literal["cosine", "step", "poly", "inverse_sqrt"] = "cosine"
    """How the learning rate falls: half a cosine to `min_learning_rate`, by `gamma` at `milestones`, as
    (1 - the share of steps done) ** `power`, or as one over the root of the steps in warm-ups."""
    min_learning_rate: float = 0.0
    """Learning rate at the end of the cosine and of poly; higher keeps changing the weights to the end."""
    milestones: tuple[int, ...] = ()
    """Epochs at whose start the step schedule multiplies the learning rate by `gamma`, in rising order."""
    gamma: float = 0.1
    """Factor of the learning rate at each milestone of the step schedule; lower cuts it more."""
    power: float = 0.9
    """Power of the poly schedule; higher lowers the learning rate sooner."""
    warmup_epochs: float = 0.0
    """Epochs at first over which the learning rate rises along a line; more start more gently. 0 for none."""
    warmup_steps: int = 0
    """The same warm-up in steps instead of epochs; give one of the two."""
    warmup_factor: float = 0.0
    """Share of the learning rate that the warm-up begins at; higher starts less gently."""
    label_smoothing: float = 0.0
    """Share of the label spread evenly over all classes; higher makes the network less sure. 0 for none."""
    clip: float = 0.0
    """Largest norm of the gradient of all weights, which is scaled down to it; lower is stabler and slower.
    0 for no clipping."""
    drop_path: float = 0.0
    """Probability that a training step leaves out the last block's branch, falling along a line towards the
    first block; higher regularises more. 0 for none."""
    norm: Literal["train", "frozen", "sync"] = "train"
    """Batch norms' statistics: of each process's share of the batch (train), as they came with the weights
    (frozen), or of the whole batch over all GPUs (sync)."""
    ema: float = 0.0
    """Decay a step of the moving average of the weights, which is evaluated and kept in their stead; higher
    remembers longer. 0 for none."""
    validation_fraction: float = 0.1
    """Share of the training set that is held out to select weights on, where the data has no validation part;
    higher selects more surely and trains on less. 0 for none."""
    select: Literal["best", "last"] = "best"
    """Weights that are kept: those of the epoch that is best on the held-out part, or of the last epoch."""
    average: int = 0
    """Number of last epochs whose weights are averaged, which are kept then; more smooth more and look
    further back. 0 or 1 for the last alone; needs select=last."""

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "accumulate", "learning_rate", "power", "epsilon")
        shares = ("momentum", "beta2", "label_smoothing", "drop_path", "ema")
        shares += ("validation_fraction", "warmup_factor")
        rest = ("weight_decay", "min_learning_rate", "warmup_epochs", "warmup_steps", "clip", "gamma")
        rest += ("average",)
        rules.positive(self, *positive, "milestones")
        rules.below_one(self, *shares)
        rules.not_negative(self, *rest)
        rules.not_above(self, "min_learning_rate", "learning_rate")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"a batch of {self.batch_size} images does not split into {self.accumulate} equal parts"
            )
        if self.warmup_epochs >= self.epochs:
            raise InputError(
                f"a warm-up of {self.warmup_epochs} epochs does not end within {self.epochs} epochs; "
                "lower warmup_epochs or raise epochs"
            )
        if self.warmup_epochs and self.warmup_steps:
            raise InputError("give the warm-up in epochs or in steps, not both")
        if self.schedule == "inverse_sqrt" and not (self.warmup_epochs or self.warmup_steps):
            raise InputError(
                "the schedule inverse_sqrt falls from the end of the warm-up on; give warmup_steps"
            )
        if self.average and self.select == "best":
            raise InputError("average takes the weights of the last epochs; give select=last with it")
        if self.average > self.epochs:
            raise InputError(f"average={self.average} is above epochs={self.epochs}")
        if self.schedule == "step" and not self.milestones:
            raise InputError("the step schedule needs milestones, for example 150 300")
        if list(self.milestones) != sorted(set(self.milestones)):
            given = " ".join(map(str, self.milestones))
            raise InputError(f"milestones={given} do not rise from one to the next")
        if self.nesterov and not self.momentum:
            raise InputError("nesterov needs a momentum")
        if self.nesterov and self.optimizer != "sgd":
            raise InputError(f"nesterov is SGD's; {self.optimizer} has none")

    @property
    def part_size(self) -> int:
        """Images of a part of a batch, over all processes."""
        return self.batch_size // self.accumulate

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate at a step.

        The warm-up is linear and by the step, poly and inverse_sqrt go by the step too; cosine and
        milestones go by whole epochs.
        """
        warmup = self.warmup_steps or self.warmup_epochs * steps_per_epoch
        if step < warmup:
            share = self.warmup_factor + (1 - self.warmup_factor) * step / warmup
            return self.learning_rate * share
        epoch = step // steps_per_epoch
        if self.schedule == "step":
            return self.learning_rate * self.gamma ** sum(epoch >= m for m in self.milestones)
        if self.schedule == "inverse_sqrt":
            return self.learning_rate * math.sqrt(warmup / step)
        if self.schedule == "poly":
            done = step / (self.epochs * steps_per_epoch)
            span = self.learning_rate - self.min_learning_rate
            return self.min_learning_rate + span * (1 - done) ** self.power
        return cosine(epoch, self.epochs, self.learning_rate, self.min_learning_rate)

    def smoke(self, batch_size: int = 4) -> TrainConfig:
        """A copy for two short epochs: a first look at the whole path."""
        return replace(
            self,
            epochs=2,
            batch_size=batch_size,
            accumulate=1,
            warmup_epochs=0.0,
            warmup_steps=0,
            milestones=(1,) if self.schedule == "step" else (),
            schedule="cosine" if self.schedule == "inverse_sqrt" else self.schedule,
            average=min(self.average, 2),
            norm="train",  # frozen ones need trained weights, synchronised ones GPUs
        )

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """The parameters of a model for its optimizer: those that decay, and the rest."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if self.decay == "all":
            return [{"params": parameters, "weight_decay": self.weight_decay}]
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]


def cosine(epoch: int, epochs: int, highest: float, lowest: float) -> float:
    """The learning rate at an epoch, on half a cosine from `highest` at epoch 0 to `lowest` at `epochs`."""
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / epochs)) / 2
