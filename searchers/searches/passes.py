"""What a loss has to be, and what a pass of the searched network has to do, for a search to make sense."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from foundation.errors import InputError
from supernet.explicit import SearchedNetwork
from supernet.mixed_network import MixedNetwork


class Passes:
    """Sees the passes of a network that a loss is made of.

    Args:
        network: The network that is searched.
    """

    def __init__(self, network: SearchedNetwork) -> None:
        self.network = network
        self.mixtures = network.sites() if isinstance(network, MixedNetwork) else {}
        for mixed in self.mixtures.values():
            mixed.num_calls = 0
        if isinstance(network, MixedNetwork):
            network.count.passes = 0

    def check(self, loss: Any) -> Tensor:
        """The loss, of no axes.

        Raises:
            InputError: If it is not one number or not the network's, or a site was passed by or passed twice.
        """
        loss = one_number(loss)
        all_run = self.network.mixing.chosen is None  # else a pass may choose nothing anywhere
        idle = [name for name, mixed in self.mixtures.items() if not mixed.num_calls]
        none_ran = bool(idle) and len(idle) == len(self.mixtures)
        if none_ran or (all_run and torch.is_grad_enabled() and not loss.requires_grad):
            raise InputError(
                "the loss does not depend on the model that it is given; call that, without no_grad or detach"
            )
        if idle:
            raise InputError(f"a forward pass does not come by site {idle[0]!r}; leave it out of the sites")
        if isinstance(self.network, MixedNetwork):
            passes = self.network.count.passes
            for name, mixed in self.mixtures.items():
                if 0 < passes < mixed.num_calls:
                    raise several(name, mixed.num_calls // passes)
        return loss


def one_number(loss: Any) -> Tensor:
    """A user's loss, of no axes.

    Raises:
        InputError: If it is not one number.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        is_tensor = isinstance(loss, Tensor)
        what = f"a tensor of shape {tuple(loss.shape)}" if is_tensor else f"a {type(loss).__name__}"
        raise InputError(f"the loss is {what}, not one number; take its mean")
    return loss.reshape(())


def several(site: str, calls: int) -> InputError:
    """What is said of a site by which one pass comes several times."""
    return InputError(
        f"a forward pass comes by site {site!r} {calls} times, so that one module would serve several; "
        "leave it out of the sites"
    )
