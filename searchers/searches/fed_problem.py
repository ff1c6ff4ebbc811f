"""A search problem whose network, batches and loss are a user's, who hands them over step by step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from foundation.errors import InputError
from foundation.seeds import seed_of
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


@dataclass
class Given:
    """What the user gave last.

    Attributes:
        loss: The loss.
        is_seen: Whether a loss was looked at closely, as the first one is.
    """

    loss: Loss | None = None
    is_seen: bool = False


@dataclass(frozen=True, kw_only=True)
class FedProblem(Problem):
    """A problem whose network, batches and loss are the user's.

    Attributes:
        model: The user's network; mixtures are put into it.
        feeds: The batches of now, for the weights and for the choice.
        given: The loss of now.
    """

    halves: Any = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: Any = None
    backbone: Any = None
    form: Any = "plain"
    model: nn.Module
    feeds: tuple[Feed, Feed]
    given: Given = field(default_factory=Given)

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
        """The user's loss of a batch, looked at."""
        (given,) = batch
        sites = network.sites()
        for mixed in sites.values():
            mixed.num_calls = 0
        network.count.passes = 0
        # While the alphas rest nothing asks for gradients; the first loss shows whether there would be any.
        looks = not self.given.is_seen and any(
            weight.requires_grad for weight in network.network.parameters()
        )
        with torch.set_grad_enabled(torch.is_grad_enabled() or looks):
            assert self.given.loss is not None
            loss = self.given.loss(network.network, given)
            wants_slope = torch.is_grad_enabled()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            is_tensor = isinstance(loss, Tensor)
            what = f"a tensor of shape {tuple(loss.shape)}" if is_tensor else f"a {type(loss).__name__}"
            raise InputError(f"the loss is {what}, not one number; take its mean")
        idle = [name for name, mixed in sites.items() if not mixed.num_calls]
        all_run = network.mixing.chosen is None  # else a pass may choose nothing anywhere
        if len(idle) == len(sites) or (all_run and wants_slope and not loss.requires_grad):
            raise InputError(
                "the loss does not depend on the model that it is given; call that, without no_grad or detach"
            )
        if idle:
            raise InputError(f"a forward pass does not come by site {idle[0]!r}; leave it out of sites=[...]")
        passes = network.count.passes
        for name, mixed in sites.items():
            if 0 < passes < mixed.num_calls:
                raise InputError(
                    f"a forward pass comes by site {name!r} {mixed.num_calls // passes} times, so that "
                    "one module would serve several; leave it out of sites=[...]"
                )
        self.given.is_seen = True
        loss = loss.reshape(())
        return loss, loss.detach()
