"""What a network is trained for, one task a folder or a file; a new one here is found by itself.

Configs load no PyTorch: their methods import what reads, trains and draws.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from evaluators.recipe import TrainConfig
from foundation.config import config
from foundation.errors import InputError
from foundation.registry import Registry
from foundation.seeds import seed_of
from search_space.term import Term

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from PIL.Image import Image
    from torch import Tensor, nn

log = logging.getLogger(__name__)

Split = Literal["validation", "test"]


class Task(Protocol):
    """A network, its data, its loss and its score: what the training loop needs.

    Attributes:
        model: The network.
        num_batches: Batches of an epoch, each of `TrainConfig.part_size` images over all processes.
        figures: Names of what `loss` returns beside the loss.
        score: The metric of `evaluate` that says which weights are better; higher is better.
        has_validation: Whether a part of the training set is held out.
    """

    model: nn.Module
    num_batches: int
    figures: tuple[str, ...]
    score: str
    has_validation: bool

    def batch(self, epoch: int, index: int) -> Any:
        """This process's share of a training batch, a function of its epoch and index alone."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, ...]:
        """The loss to minimise, then a scalar for each of `figures`."""
        ...

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Metrics of a model on the held-out part or the test set, over all processes, in eval mode."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A task that says how long its evaluation is before it is done, for `autola estimate`."""

    def num_passes(self, split: Split) -> int:
        """Forward passes of the model that `evaluate` takes on a part, in this process."""
        ...


class Setting(Protocol):
    """A task with its data read: starts one `Task` for every attention and seed.

    Attributes:
        input_shape: Channels, height and width of the image that costs are given for; of sentences 1, and
            the tokens of source and translation.
        score: The metric that tables show, a share of 1; higher is better.
    """

    input_shape: tuple[int, int, int]
    score: str

    def describe(self) -> dict[str, Any]:
        """What has to be known of the data to build the network again, as JSON values."""
        ...

    def start(self, network: nn.Module, seed: int) -> Task:
        """The task with a new network, which trains from the seed's order and augmentation."""
        ...


class Halves(NamedTuple):
    """A task on either half of its training set.

    Attributes:
        first: The half that weights learn on, with the second one held out.
        second: The half that the choice learns on.
        sizes: How many images each has, in words.
    """

    first: Setting
    second: Setting
    sizes: str


@runtime_checkable
class Halved(Protocol):
    """A setting whose training set can be halved, for `autola search`."""

    def halves(self) -> Halves:
        """Gives the same setting on two halves, which are the same every time and share no image.

        Raises:
            InputError: If there are too few images.
        """
        ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a trained network sees in one image.

    Attributes:
        picture: A copy of the image with what was found drawn onto it, in RGB.
        found: The same as JSON values: a short list, best first.
    """

    picture: Image
    found: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Exportable:
    """What of a network goes into other formats.

    Attributes:
        module: In eval mode, from one tensor (1, c, h, w) to a tensor or a tuple of tensors.
        prepare: A function from an image to that tensor.
        input_shape: Its (c, h, w): the size that the export holds for.
        any_batch: Whether the module takes batches of any size; its export then does where it can.
        note: What the export lacks beside the network, in a line; "" for nothing.
        traced: Whether torch.export refuses the module: then there is no program file, and ONNX is written
            by the older, tracing exporter.
    """

    module: nn.Module
    prepare: Callable[[Image], Tensor]
    input_shape: tuple[int, int, int]
    any_batch: bool = False
    note: str = ""
    traced: bool = False


@config
class TaskConfig:
    """The task of a training: network, data, loss and score; one registered class each."""

    name: ClassVar[str]
    preset: ClassVar[str] = "digits"
    """Preset that `--task NAME` starts from."""
    unused: ClassVar[Mapping[str, str]] = {}
    """Settings of the recipe that the task does nothing with and therefore refuses, and why."""
    hub_task: ClassVar[str] = ""
    """The hub's name of what such networks do (pipeline_tag); "" where it has none."""
    facts: ClassVar[tuple[str, ...]] = ()
    """Keys of `Setting.describe`'s result that a trained network cannot do without."""
    smoke_batch: ClassVar[int] = 4
    """Batch size of a first look: images, or tokens."""
    own_data: ClassVar[str | None] = None
    """Name of data that the task has without a folder; None for none."""
    extra: ClassVar[str | None] = None
    """The optional part of autola's installation that the task needs, as in autola[coco]; None for none."""

    weights: str | None = None
    """Weights to start from: a file (.pth, .safetensors), the folder of one of autola's trainings, or a
    published name: torchvision's (IMAGENET1K_V2, DEFAULT), or `pretrained` for torchvision's or timm's own
    choice. Drawn at random if left out."""
    identity: bool = False
    """Let attention start as the identity, so that it does not harm the weights to start from."""

    def refuse_unused(self, train: TrainConfig) -> None:
        """Checks that the recipe asks for nothing that the task would pass over in silence.

        Raises:
            InputError: If a setting of `unused` has another value than the usual one.
        """
        usual = TrainConfig()
        for name, why in self.unused.items():
            if getattr(train, name) != getattr(usual, name):
                raise InputError(f"{name} {why}; leave it out for the task {self.name}")

    def read(self, train: TrainConfig, fabric: Fabric) -> Setting:
        """Reads the data.

        Args:
            train: The recipe: batch size, held-out share and whatever else concerns data and loss.
            fabric: Device, precision and processes.

        Raises:
            InputError: If the data cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define read")

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        """A new network, its weights from torch's random state; `new_network` then loads `weights`.

        Args:
            data: The result of `Setting.describe`; the data themselves are not needed.
            attention: What is attached.

        Raises:
            InputError: If the attention does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define network")

    def unsearched(self) -> tuple[Term, ...]:
        """What stands in the network that a search of placements starts from; nothing, in most."""
        return ()

    def published(self) -> tuple[str, ...]:
        """Names of the network, and of the backbone in it, that torchvision or timm publish weights for."""
        return ()

    def fitted(
        self, weights: Mapping[str, Tensor], network: nn.Module, data: Mapping[str, Any]
    ) -> Mapping[str, Tensor]:
        """The weights to start from, changed where the network counts or names something in another way.

        Args:
            weights: As they were read.
            network: The new network.
            data: The result of `Setting.describe`.
        """
        return weights

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image) -> Prediction:
        """What a trained network, in eval mode on any device, sees in an image of any size and mode.

        Args:
            network: As `network` builds it, trained.
            data: The result of `Setting.describe`.
            image: The image.
        """
        raise InputError(f"the task {self.name} cannot show predictions")

    def translate(self, network: nn.Module, data: Mapping[str, Any], lines: Sequence[str]) -> list[str]:
        """Translations of sentences by a trained network, in eval mode on any device.

        Args:
            network: As `network` builds it, trained.
            data: The result of `Setting.describe`.
            lines: The sentences; an empty one has an empty translation.
        """
        raise InputError(f"the task {self.name} reads images, not text; name at least one image")

    def exportable(self, network: nn.Module, data: Mapping[str, Any]) -> Exportable:
        """What of a trained network `autola export` writes."""
        raise InputError(f"the task {self.name} cannot be exported")

    def examples(self, number: int) -> list[Image]:
        """A few images of the test set for `export` to try; none where a task has none.

        Raises:
            InputError: If the data is not at hand.
        """
        return []

    @classmethod
    def look(cls, root: Path) -> str:
        """What of a folder the task would train on, in a few words, without reading any of the images.

        Args:
            root: The folder, or tar.

        Raises:
            InputError: If it is not laid out as the task reads it; says what is not there.
        """
        raise InputError(f"{cls.name} does not say what its data look like")

    def subject(self) -> str:
        """The data in a word, with which the name of a run folder begins."""
        return self.name

    def network_name(self) -> str:
        """The network in a few words, for sentences."""
        return str(getattr(self, "backbone", self.name))

    def summary(self) -> str:
        """Data and network in a few words, for lists."""
        return self.name

    def smoke(self) -> TaskConfig:
        """A copy small enough for a first look on a CPU."""
        return self


TASKS: Registry[type[TaskConfig]] = Registry("task", "evaluators.tasks")

task = TASKS.named
"""Decorator that registers a config class as the task of a name."""


def as_task(kind: type[TaskConfig], given: TaskConfig) -> TaskConfig:
    """A config of another task, with those settings of `given` that it has as well."""
    known = {field.name for field in fields(given)}
    return kind(**{field.name: getattr(given, field.name) for field in fields(kind) if field.name in known})


def reads_text(config: TaskConfig) -> bool:
    """Whether a task reads sentences, and not images."""
    return type(config).translate is not TaskConfig.translate


def knows_its_data(kind: type[TaskConfig]) -> bool:
    """Whether a task says of a folder what it reads there."""
    return getattr(kind.look, "__func__", None) is not getattr(TaskConfig.look, "__func__", None)


def new_network(
    config: TaskConfig, data: Mapping[str, Any], attention: tuple[Term, ...], seed: int
) -> nn.Module:
    """A new network with the weights it starts from.

    Random weights are a function of the seed: the backbone's are the same whatever the attention.

    Raises:
        InputError: If the attention does not fit, or the weights to start from.
    """
    import torch

    from evaluators.starting_weights import start_from
    from evaluators.weight_sources import read_weights

    torch.manual_seed(seed_of(seed, "network"))
    network = config.network(data, attention)
    if config.weights is not None:
        with torch.device("meta"):
            plain = config.network(data, config.unsearched()).state_dict()
        given = read_weights(config.weights, config.published())
        _say_once(start_from(network, plain, config.fitted(given, network, data), config.weights))
    return network


@cache
def _say_once(text: str) -> None:
    log.info(text)
