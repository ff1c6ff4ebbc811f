"""The weights of a network with attention in two groups, for whoever starts from trained weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from foundation.errors import InputError
from supernet.attach import attached


def parameter_groups(model: nn.Module, lr: float, *, network_lr: float | None = None) -> list[dict[str, Any]]:
    """Parameter groups for any optimizer of torch: new attention, and the network that it was attached to.

    Attention starts from nothing and the network from trained weights, so the first wants a higher learning
    rate than the second; for the first epochs the network may rest altogether:

        attention, network = autola.parameter_groups(model, 1e-2)
        for weight in network["params"]: weight.requires_grad_(False)   # and True again later

    Both groups have a key `name`, which optimizers keep. What learning-rate schedulers do, they do to each.

    Args:
        model: With attention attached. Of a convolution that attention changes (`aw`, `dcn`), the weight and
            bias belong to the network, as they did before.
        lr: Learning rate of the attention.
        network_lr: Learning rate of the network; None for a tenth of `lr`.

    Raises:
        InputError: If the model has no attention, or a rate is not positive.
    """
    network_lr = lr / 10 if network_lr is None else network_lr
    for name, rate in (("lr", lr), ("network_lr", network_lr)):
        if not 0 < rate < float("inf"):
            raise InputError(f"{name}={rate} is not a positive number")
    sites = attached(model)
    if not sites:
        raise InputError(f"{type(model).__name__} has no attention; attach it first")
    new = dict[int, nn.Parameter]()
    for site in sites:
        plain = ("weight", "bias") if isinstance(site.module, nn.Conv2d) else ()
        for name, parameter in site.module.named_parameters():
            if site.position != "instead" or name not in plain:
                new[id(parameter)] = parameter
    rest = [parameter for parameter in model.parameters() if id(parameter) not in new]
    return [
        {"name": "attention", "params": list(new.values()), "lr": lr},
        {"name": "network", "params": rest, "lr": network_lr},
    ]
