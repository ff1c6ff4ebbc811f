"""What a network with attention has to be compared with: plain networks that take as long as it does.

A module that adds to a network's time is worth it where the plain network, made wider or deeper until it
takes that time too, scores less.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from evaluators.counting import check_shape, macs, params
from evaluators.latency import latency_ratio
from evaluators.rebuilding import rebuilding
from foundation.errors import InputError
from search_space.attention import Attention, as_terms
from supernet.attach import attach
from supernet.backbones import build_backbone, usual_images

Build = Callable[..., nn.Module]

NAMES = {"width": "wider", "depth": "deeper"}
"""Arguments that make a network larger, and what the network is called then."""

MOST = 16
"""Times its own width or depth that a plain network is made large at most."""

STEPS = 16
"""Steps from a factor to the double of it, where width or depth is a factor."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """A network to train beside others.

    Attributes:
        model: The network, with random weights.
        setting: What it is built with besides the plain network's own values, as {"width": 22}.
        latency_ratio: Its time over that of the network with attention.
        params: Number of weights.
        macs: Multiply-accumulates of one image.
    """

    model: nn.Module
    setting: Mapping[str, float]
    latency_ratio: float
    params: int
    macs: int


def controls(
    model: str | nn.Module | Build,
    attention: Attention,
    *,
    input_shape: Sequence[int] | None = None,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    batch: int = 1,
    device: str | torch.device = "cpu",
    ratio: Callable[[nn.Module, nn.Module], float] | None = None,
) -> dict[str, Control]:
    """A network with attention, the plain one, and plain ones that are as slow as the one with attention.

    "plain" and "attended" are always there; "wider" and "deeper" where the network can be built so. Their
    width or depth is the one whose measured time is nearest to that of "attended". What is measured is the
    median, over pairs of forward passes one right after the other, of one time over the other, in evaluation
    mode on one CPU thread. Compare them after the same training: all have new random weights, since trained
    ones fit no wider network.

    Args:
        model: Registered name of a backbone; a ResNet, Wide-ResNet or MobileNet of autola or a ResNet of
            torchvision, which is built anew; or a function that builds a network from `width`, `depth` or
            both, whose defaults are the plain network's. Whole numbers grow by one, others by a sixteenth.
            torchvision's ResNets of basic blocks have no width to choose, autola's MobileNet no depth.
        attention: In the grammar, a genotype, or what a search gave back.
        input_shape: (channels, height, width) of the images; None for the usual ones of a registered name.
        sites: As in `attach`.
        batch: Images in a forward pass.
        device: Where time is measured.
        ratio: Time of its first network over that of its second, in place of measuring.

    Returns:
        The networks by name.

    Raises:
        InputError: If the attention is none or does not fit, or nothing can be made wider or deeper.
    """
    if isinstance(model, str):
        input_shape = usual_images(model)[0] if input_shape is None else input_shape
        in_channels = check_shape(input_shape)[0]
        with torch.random.fork_rng(devices=[]):
            model = build_backbone(model, in_channels=in_channels, num_classes=usual_images(model)[1])
    if input_shape is None:
        raise InputError("what images does the network take? give input_shape, as (3, 224, 224)")
    shape = check_shape(input_shape)
    if batch < 1:
        raise InputError(f"batch={batch} is not positive")
    terms = as_terms(attention)
    if not terms:
        raise InputError("none adds nothing, so there is nothing to compare with; name an attention, as se")
    build = rebuilding(model) if isinstance(model, nn.Module) else model
    own = _own_values(build)
    measured = ratio or partial(latency_ratio, input_shape=shape, batch=batch, device=device)

    def attended() -> nn.Module:
        return attach(build(), terms, sites, input_shape=shape)

    with torch.random.fork_rng(devices=[]):
        slow = attended()
        ratios = {"plain": ({}, measured(build(), slow)), "attended": ({}, 1.0)}
        for name, value in own.items():
            ratios[NAMES[name]] = _matched(build, name, value, lambda other: measured(other, slow))
    found = dict[str, Control]()
    for name, (setting, its_ratio) in ratios.items():
        network = attended() if name == "attended" else build(**setting)
        found[name] = Control(
            model=network,
            setting=setting,
            latency_ratio=its_ratio,
            params=params(network),
            macs=macs(network, shape),
        )
    return found


def _own_values(build: Build) -> dict[str, float]:
    """The plain network's width and depth, as far as they can be chosen."""
    parameters = inspect.signature(build).parameters
    own = {name: parameters[name].default for name in NAMES if name in parameters}
    if not own:
        raise InputError(
            "a network that is to be made larger is built by a function of `width`, `depth` or both"
        )
    for name, value in own.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise InputError(
                f"{name} has no positive default: that is the plain network's, as in build({name}=64)"
            )
    return own


def _matched(
    build: Build, name: str, own: float, time_of: Callable[[nn.Module], float]
) -> tuple[dict[str, float], float]:
    """The value whose network takes a time nearest to 1, and that time: doubled steps, then halved ones."""

    def value(step: int) -> float:
        return own + step if isinstance(own, int) else own * (1 + step / STEPS)

    times = dict[int, float]()

    def is_slow(step: int) -> bool:
        if step not in times:
            times[step] = time_of(build(**{name: value(step)}))
        return times[step] >= 1

    low, high = 0, 1
    while not is_slow(high) and value(2 * high) <= MOST * own:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_slow(middle) else (middle, high)
    is_slow(low)
    best = min(times, key=lambda step: max(times[step], 1 / times[step]))
    return {name: value(best)}, times[best]
