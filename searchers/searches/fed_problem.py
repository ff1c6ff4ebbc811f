"""A search problem whose network, batches and loss are a user's, who hands them over step by step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from foundation.seeds import seed_of
from searchers.searches.passes import one_number
from searchers.searches.problem import Problem, mixed_network
from supernet.mixed_network import MixedNetwork

Loss = Callable[[Any, Any], Tensor]
"""From the model and a batch to the loss, one number."""


class UsersProcesses:
    """What a search asks of Fabric, where device and processes are those of the user's own loop.

    Args:
        model: The user's network, which may move to another device at any time.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def device(self) -> torch.device:
        """Where the network is now."""
        return next(iter(self.model.parameters()), torch.zeros(())).device

    @property
    def world_size(self) -> int:
        """Processes that the user started."""
        return torch.distributed.get_world_size() if _is_distributed() else 1

    @property
    def global_rank(self) -> int:
        """The number of this one among them."""
        return torch.distributed.get_rank() if _is_distributed() else 0

    def all_reduce(self, values: Tensor, reduce_op: str) -> Tensor:
        """The mean over all processes."""
        assert reduce_op == "mean"
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total / self.world_size

    def autocast(self) -> Any:
        """Nothing: the user's loss decides how it computes."""
        return nullcontext()


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class Feed:
    """A batch that the user hands over, where a search asks for the next one."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.now: Any = None

    def __len__(self) -> int:
        return self.num_steps

    def batch(self, epoch: int, index: int) -> tuple[Any]:
        """The batch of now, whatever its number."""
        return (self.now,)


@dataclass(frozen=True, kw_only=True)
class FedProblem(Problem):
    """A problem whose network, batches and loss are the user's.

    Attributes:
        model: The user's network; mixtures are put into it.
        feeds: The batches of now, for the weights and for the choice.
        given: The loss of now, in a list of one.
    """

    halves: Any = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: Any = None
    backbone: Any = None
    form: Any = "plain"
    model: nn.Module
    feeds: tuple[Feed, Feed]
    given: list[Loss] = field(default_factory=list)

    @property
    def figure(self) -> str:
        return "value"

    def batches(self, half: int, batch_size: int, *, training: bool = True) -> Any:
        return self.feeds[half]

    def supernet(self, *, parts: int = 1) -> MixedNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "supernet"))
            supernet = mixed_network(self.space, self.model, parts=parts, keeps_modes=True)
        supernet.begin_step(0.0)
        return supernet

    def loss(self, network: Any, *batch: Any) -> tuple[Tensor, Tensor]:
        """The user's loss of a batch."""
        (given,) = batch
        assert self.given, "a step is given its loss"
        loss = one_number(self.given[0](network.network, given))
        return loss, loss.detach()
