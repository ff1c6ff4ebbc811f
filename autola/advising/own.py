"""A network, data and loss of the user's own as a task: what trains and searches tasks does the rest.

They live in the memory of the process that advises; a run folder keeps their digest, so that it goes on with
the same ones alone.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from evaluators.tasks import TASKS, Halves, TaskConfig
from foundation.config import config
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.term import Term
from searchers.searches.passes import one_number
from supernet.attach import attach

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.recipe import TrainConfig
    from evaluators.tasks import Split

OWN = "own"
"""Name of the task in the records."""

Loss = Callable[[Any, Any], Tensor]
"""From a network and a batch to the loss, one number."""


class ListedBatches:
    """Batches of some items of a list, shuffled anew in every epoch.

    Args:
        items: A data set, or a list of batches.
        chosen: Numbers of the items that are used.
        size: Items of a batch; what is left over at the end of an epoch is left out of it.
        collate: Makes a batch of items.
        seed: Seed of the order, and of what an item draws from torch's random numbers.
    """

    def __init__(
        self,
        items: Any,
        chosen: Sequence[int],
        size: int,
        collate: Callable[[list[Any]], Any],
        seed: int,
    ) -> None:
        self.items, self.chosen, self.size, self.collate, self.seed = items, chosen, size, collate, seed

    def __len__(self) -> int:
        return len(self.chosen) // self.size

    def batch(self, epoch: int, index: int) -> Any:
        """A batch, a function of its epoch and index alone."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        order = torch.randperm(len(self.chosen), generator=generator).tolist()
        numbers = order[index * self.size : (index + 1) * self.size]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "items", epoch, index))
            return self.collate([self.items[self.chosen[number]] for number in numbers])


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What is advised on.

    Attributes:
        plain: The network, as it stays.
        items: The training data, one after another.
        size: Items of a batch.
        collate: Makes a batch of items.
        loss: Of a network and a batch.
        score: How good a trained network is on data that it was not trained on; higher is better.
        score_name: What the score is.
        input_shape: (channels, height, width) of an image, for costs.
    """

    plain: nn.Module
    items: Any
    size: int
    collate: Callable[[list[Any]], Any]
    loss: Loss
    score: Callable[[nn.Module], float]
    score_name: str
    input_shape: tuple[int, int, int]

    def weights(self) -> str:
        """A digest of the weights that all trainings start from."""
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in self.plain.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()

    def batches(self, chosen: Sequence[int], seed: int) -> ListedBatches:
        """Batches of some of the items."""
        return ListedBatches(self.items, chosen, self.size, self.collate, seed)


_HELD: dict[str, Subject] = {}


@config
class OwnModel(TaskConfig):
    """The subject of advice that is under way in this process."""

    name: ClassVar[str] = OWN

    backbone: str
    """Name of the class of the network."""

    def read(self, train: TrainConfig, fabric: Fabric) -> OwnSetting:
        subject = _subject()
        return OwnSetting(subject, fabric.device, range(len(subject.items)), None)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        network = copy.deepcopy(_subject().plain)
        if torch.empty(0).is_meta:
            network = network.to("meta")
        return attach(network, attention, identity=True)


class OwnSetting:
    """The subject with the items that are trained on; see `Setting`.

    Args:
        subject: Whose model, loss and score.
        device: Where networks are.
        chosen: Items that are trained on.
        held: Items that are judged on by their loss; None for the user's score.
    """

    def __init__(
        self, subject: Subject, device: torch.device, chosen: Sequence[int], held: Sequence[int] | None
    ) -> None:
        self.subject, self.device, self.chosen, self.held = subject, device, chosen, held
        self.input_shape = subject.input_shape
        self.score = subject.score_name if held is None else MINUS_LOSS

    def describe(self) -> dict[str, Any]:
        """What tells this subject from another."""
        return {
            "input_shape": list(self.input_shape),
            "weights": self.subject.weights(),
            "training items": len(self.subject.items),
            "batch size": self.subject.size,
            "score": self.subject.score_name,
        }

    def halves(self) -> Halves:
        even, odd = self.chosen[::2], self.chosen[1::2]
        if len(odd) < self.subject.size:
            raise InputError(
                f"half of {len(self.chosen)} training items does not fill a batch of {self.subject.size}; "
                "give more data or smaller batches"
            )
        first = OwnSetting(self.subject, self.device, even, odd)
        second = OwnSetting(self.subject, self.device, odd, even)
        return Halves(first, second, f"{len(even)} items and {len(odd)} others")

    def start(self, network: nn.Module, seed: int) -> OwnTask:
        return OwnTask(self, network, seed)


class OwnTask:
    """The subject with a network that is trained or searched; see `Task`.

    Args:
        setting: The items.
        network: The network.
        seed: Seed of their order.
    """

    figures: tuple[str, ...] = ()
    has_validation: bool = False

    def __init__(self, setting: OwnSetting, network: nn.Module, seed: int) -> None:
        self.subject, self.model, self.held = setting.subject, network, setting.held
        self.score = setting.score
        self.train = self.subject.batches(setting.chosen, seed)
        self.num_batches = len(self.train)

    def batch(self, epoch: int, index: int) -> Any:
        return self.train.batch(epoch, index)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, ...]:
        return (one_number(self.subject.loss(model, batch)),)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        if self.held is None:
            value = float(self.subject.score(model))
        else:
            held = self.subject.batches(self.held, 0)
            value = minus_loss(model, self.subject.loss, (held.batch(0, n) for n in range(len(held))))
        if not abs(value) < float("inf"):
            raise InputError("a trained network has no finite score; lower the learning rate of the recipe")
        return {self.score: value}


MINUS_LOSS = "minus the loss"


@torch.no_grad()
def minus_loss(network: nn.Module, loss: Loss, batches: Iterable[Any]) -> float:
    """Minus the mean loss of batches, in evaluation mode; the same random numbers every time."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses = [float(loss(network, batch)) for batch in batches]
    for module, mode in modes.items():
        module.training = mode
    return -sum(losses) / len(losses)


@contextmanager
def held(subject: Subject) -> Generator[OwnModel]:
    """The subject as a task, inside a block.

    Raises:
        InputError: If another one is advised on in this process.
    """
    if OWN in _HELD:
        raise InputError("this process advises on another model; wait for that to end")
    _HELD[OWN] = subject
    try:
        with TASKS.lent(OWN, OwnModel):
            yield OwnModel(backbone=type(subject.plain).__name__)
    finally:
        del _HELD[OWN]


def _subject() -> Subject:
    if OWN not in _HELD:
        raise InputError(
            "the model is one of a user's own, in the memory of the process that advised: call "
            "autola.advise with it and the same out again"
        )
    return _HELD[OWN]


def subject_of(
    model: nn.Module,
    train: Any,
    valid: Iterable[Any],
    loss: Loss,
    *,
    score: Callable[[nn.Module], float] | None,
    input_shape: Sequence[int] | None,
) -> Subject:
    """A user's own network, data and loss; see `advise`.

    Raises:
        InputError: If the data cannot be halved, or the shape of the images is not known.
    """
    items, size, collate = _items(train)
    judged = valid if isinstance(valid, DataLoader) else list(valid)
    if not len(cast("Any", judged)):
        raise InputError("valid has no batches; give data that are not trained on")
    subject = Subject(
        plain=copy.deepcopy(model),
        items=items,
        size=size,
        collate=collate,
        loss=loss,
        score=(lambda network: minus_loss(network, loss, judged)) if score is None else score,
        score_name=MINUS_LOSS if score is None else "score",
        input_shape=(0, 0, 0),
    )
    OwnSetting(subject, torch.device("cpu"), range(len(items)), None).halves()
    first = subject.batches(range(len(items)), 0).batch(0, 0)
    return replace(subject, input_shape=_shape(first, input_shape))


def _items(train: Any) -> tuple[Any, int, Callable[[list[Any]], Any]]:
    """What is shuffled, how many of it make a batch, and how."""
    if isinstance(train, DataLoader):
        dataset: Any = cast("Dataset[Any]", train.dataset)
        if train.batch_size is None or not hasattr(dataset, "__len__"):
            raise InputError(
                "the training data have no length or no batch size, so that they cannot be halved; give a "
                "DataLoader over a data set with both, or a list of batches"
            )
        return dataset, train.batch_size, train.collate_fn
    if isinstance(train, Sequence) and not isinstance(train, str):
        return train, 1, lambda batches: batches[0]
    raise InputError(
        f"train is a {type(train).__name__}; give a DataLoader, or a list of batches, which can be halved"
    )


def _shape(batch: Any, given: Sequence[int] | None) -> tuple[int, int, int]:
    """The shape of an image: as it is given, or of the first tensor of four axes in a batch."""
    if given is not None:
        channels, height, width = given
        return channels, height, width
    found = next((tensor for tensor in _tensors(batch) if tensor.ndim == 4), None)
    if found is None:
        raise InputError("the shape of the images is not seen in a batch; give input_shape, as (3, 224, 224)")
    _, channels, height, width = found.shape
    return channels, height, width


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _tensors(part)
