"""Whom advice is for: a network, its data and its loss, whether a user's own or those of a task."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from foundation.errors import InputError
from foundation.seeds import seed_of

Loss = Callable[[Any, Any], Tensor]
"""From a network and a batch to the loss, one number."""


class Batches(Protocol):
    """Batches by their number: the same for the same epoch and index."""

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Any:
        """A batch, as the loss takes it."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What is advised on.

    Attributes:
        model: Makes a copy of the plain network, with the weights that every training starts from.
        halves: Batches of two halves of the training set: for the weights, and for the choice.
        whole: From a seed to batches of the whole training set, in an order of that seed.
        loss: Of a network and a batch.
        score: How good a trained network is on data that it was not trained on; higher is better.
        score_name: What the score is.
        optimizer: Makes the optimizer of a training.
        input_shape: (channels, height, width) of an image, for costs.
        network: What the network is called.
    """

    model: Callable[[], nn.Module]
    halves: tuple[Batches, Batches]
    whole: Callable[[int], Batches]
    loss: Loss
    score: Callable[[nn.Module], float]
    score_name: str
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    input_shape: tuple[int, int, int]
    network: str


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
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        order = torch.randperm(len(self.chosen), generator=generator).tolist()
        numbers = order[index * self.size : (index + 1) * self.size]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "items", epoch, index))
            return self.collate([self.items[self.chosen[number]] for number in numbers])


def subject_of(
    model: nn.Module,
    train: Any,
    valid: Iterable[Any],
    loss: Loss,
    *,
    score: Callable[[nn.Module], float] | None,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None,
    input_shape: Sequence[int] | None,
    seed: int,
) -> Subject:
    """A user's own network, data and loss; see `advise`.

    Raises:
        InputError: If the data cannot be halved, or the shape of the images is not known.
    """
    plain = copy.deepcopy(model)
    items, size, collate = _items(train)
    count = len(items)
    if count // 2 < size:
        raise InputError(
            f"half of {count} training items does not fill a batch of {size}; give more data or "
            "smaller batches"
        )
    even, odd = list(range(0, count, 2)), list(range(1, count, 2))
    halves = (
        ListedBatches(items, even, size, collate, seed_of(seed, "half", 0)),
        ListedBatches(items, odd, size, collate, seed_of(seed, "half", 1)),
    )
    held = valid if isinstance(valid, DataLoader) else list(valid)
    if not len(cast("Any", held)):
        raise InputError("valid has no batches; give data that are not trained on")

    @torch.no_grad()
    def minus_loss(network: nn.Module) -> float:
        modes = {module: module.training for module in network.modules()}
        network.eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            losses = [float(loss(network, batch)) for batch in held]
        for module, mode in modes.items():
            module.training = mode
        return -sum(losses) / len(losses)

    return Subject(
        model=lambda: copy.deepcopy(plain),
        halves=halves,
        whole=lambda number: ListedBatches(
            items, range(count), size, collate, seed_of(seed, "whole", number)
        ),
        loss=loss,
        score=minus_loss if score is None else score,
        score_name="minus the loss" if score is None else "score",
        optimizer=_adamw if optimizer is None else optimizer,
        input_shape=_shape(halves[0].batch(0, 0), input_shape),
        network=type(model).__name__,
    )


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-3)


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
