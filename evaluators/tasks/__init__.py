"""What a network is trained for, one task a file; a new file here is found by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor, nn

from evaluators.data import DataConfig
from evaluators.recipe import TrainConfig
from search_space.config import config
from search_space.grammar import Term
from search_space.registry import Registry

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Split = Literal["validation", "test"]


@config
class TaskConfig:
    """What is trained, on what, how."""

    task: str = "classification"
    """Registered task."""
    data: DataConfig
    """The images."""
    backbone: str = "cifar_resnet20"
    """The network that attention is attached to; `autola list` names them."""
    width: int | None = None
    """Channels of the backbone's first stage; its own if left out."""
    train: TrainConfig
    """The recipe."""


class Task(Protocol):
    """A network, its data, its loss and its score: what the training loop needs.

    Attributes:
        model: The network.
        steps_per_epoch: Batches of an epoch.
        figures: Names of what `loss` returns beside the loss.
        score: The metric of `evaluate` that says which weights are better; higher is better.
        has_validation: Whether a part of the training set is held out.
    """

    model: nn.Module
    steps_per_epoch: int
    figures: tuple[str, ...]
    score: str
    has_validation: bool

    def batch(self, epoch: int, index: int) -> Any:
        """A training batch, a function of its place in the job alone."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, ...]:
        """The loss to minimise, then a scalar for each of `figures`."""
        ...

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Metrics of a model in eval mode on the held-out part or the test set."""
        ...


class Setting(Protocol):
    """A task with its data read: starts one `Task` for every attention and seed.

    Attributes:
        input_shape: Channels, height and width of an image.
        num_classes: Of the data.
        score: The metric that tables show; higher is better.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    score: str

    def __init__(self, config: TaskConfig, fabric: Fabric) -> None: ...

    def describe(self) -> dict[str, Any]:
        """What has to be known of the data to build the network again, as JSON values."""
        ...

    def network(self, attention: tuple[Term, ...], seed: int) -> nn.Module:
        """A new network; its weights depend on the seed alone, the backbone's not on the attention."""
        ...

    def start(self, attention: tuple[Term, ...], seed: int) -> Task:
        """The task with a new network."""
        ...


TASKS: Registry[type[Setting]] = Registry("task", "evaluators.tasks")
