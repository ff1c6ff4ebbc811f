"""A search problem in the network of a task: the task says its loss, its score and two halves of its data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from evaluators.tasks import Halves, Task
from foundation.seeds import seed_of
from search_space.attention import Attention
from searchers.searches.problem import Problem
from supernet.mixed_network import MixedNetwork
from supernet.modules import freeze_norms


class HalfBatches:
    """Training batches of a half: what the loss of the task takes.

    Args:
        task: The task on that half.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __len__(self) -> int:
        return self.task.num_batches

    def batch(self, epoch: int, index: int) -> tuple[Any]:
        """A batch, a function of its epoch and index alone."""
        return (self.task.batch(epoch, index),)


@dataclass(frozen=True, kw_only=True)
class TaskProblem(Problem):
    """Placements in the network of a task, by the loss of the task.

    Attributes:
        settings: The task on either half of its training set.
        norm: Statistics of the network's batch norms; see `TrainConfig`.
    """

    halves: Any = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: Any = None
    form: Any = "plain"
    settings: Halves
    norm: Literal["train", "frozen"] = "train"

    @property
    def figure(self) -> str:
        return next(iter(self._task(0).figures), "value")

    @property
    def score(self) -> str:
        return self.settings.first.score

    def loss(self, network: Callable[..., Any], *batch: Any) -> tuple[Tensor, Tensor]:
        (given,) = batch
        loss, *figures = self._task(0).loss(network, given)  # pyright: ignore[reportArgumentType]
        return loss, (figures[0] if figures else loss).detach()

    def batches(self, half: int, batch_size: int, *, training: bool = True) -> Any:
        return HalfBatches(self._task(half))

    def judge(self, network: nn.Module, batches: Any) -> float:
        return self._task(0).evaluate(network, "validation")[self.score]

    def task(self, network: nn.Module, batches: Any) -> Task:
        task = copy.copy(self._task(0))
        task.model, task.has_validation = network, False
        return task

    def supernet(self, *, parts: int = 1) -> MixedNetwork:
        supernet = super().supernet(parts=parts)
        assert isinstance(supernet, MixedNetwork), "tasks search placements"
        supernet.freezes_norms = self.norm == "frozen"
        return supernet

    def found(self, genotype: Attention, *purpose: int | str) -> nn.Module:
        network = super().found(genotype, *purpose)
        if self.norm == "frozen":
            freeze_norms(network)
        return network

    def _task(self, half: int) -> Task:
        """The task on a half; what it does to a network of its own is not the search's."""
        known: dict[int, Task] = self.__dict__.setdefault("_tasks", {})
        if half not in known:
            setting = self.settings.second if half else self.settings.first
            known[half] = setting.start(nn.Module(), seed_of(self.seed, "half", half))
        return known[half]
