"""One step of a search of placements beside what it is made of: the plain step and each candidate everywhere.

    python -m benchmarks.places_step

A step teaches the choice on one batch, then the weights on another. The plain network's does the same:
gradients of its weights on one batch, and gradients back to the first site on the other, its weights at rest.
What a candidate adds is that step of the plain network with it at every site, less the plain step. Extra is
what the search adds, over the sum of what its candidates add. One thread, CPU seconds, all taking turns in
one process, the ratio taken in every turn. Kept is what a pass keeps for its backward pass.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.answer import answer
from benchmarks.measure import alternate, count_calls, median, saved_bytes, surroundings
from search_space.places import CANDIDATES
from search_space.space import NONE
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.blocks import recompute_blocks
from supernet.modules import frozen
from supernet.placing import PlacesSupernet, places_of


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is timed."""

    net: str = "cifar_resnet20"
    """Backbone."""
    candidates: tuple[str, ...] = CANDIDATES
    """Candidates, in the grammar."""
    batch: int = 32
    """Images of each of the two halves of a step."""
    size: int = 32
    """Height and width of the images."""
    repeats: int = 11
    """Turns; the median counts."""
    seed: int = 0
    """Seed of the weights and of the images."""
    json: bool = False
    """Print one JSON object alone."""


class Step:
    """Both halves of a step of a network, with the optimizers of a search.

    Args:
        network: The network.
        weights: What learns on the first batch.
        choice: What learns on the second; None for the slope back to where `first` ends.
        first: Module of the first site.
        options: Images.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: list[nn.Parameter],
        choice: nn.Parameter | None,
        first: nn.Module,
        options: Options,
    ) -> None:
        self.network, self.weights, self.choice = network.train(), weights, choice
        self.sgd = torch.optim.SGD(weights, 0.025, momentum=0.9, weight_decay=5e-4, foreach=True)
        self.adam = None if choice is None else torch.optim.Adam([choice], 3e-3)
        self.slope_of: Tensor | None = None
        if choice is None:
            first.register_forward_hook(self._mark)
        random = torch.Generator().manual_seed(options.seed)
        shape = (options.batch, 3, options.size, options.size)
        self.batches = [
            (torch.randn(shape, generator=random), torch.randint(0, 10, (options.batch,), generator=random))
            for _ in range(2)
        ]

    def _mark(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not output.requires_grad:
            self.slope_of = output.requires_grad_()

    def loss(self, half: int) -> Tensor:
        images, labels = self.batches[half]
        return F.cross_entropy(self.network(images), labels)

    def __call__(self) -> None:
        with frozen(self.weights):
            loss = self.loss(1)
            of = self.slope_of if self.choice is None else self.choice
            assert of is not None
            (slope,) = torch.autograd.grad(loss, [of])
            self.slope_of = None
        if self.adam is not None and self.choice is not None:
            self.choice.grad = slope
            self.adam.step()
        for weight, slope in zip(self.weights, torch.autograd.grad(self.loss(0), self.weights)):
            weight.grad = slope
        self.sgd.step()


def plain_step(options: Options, attention: str = NONE) -> Step:
    """A step of the plain network, or of one with an attention at every site."""
    network = attach(_backbone(options), attention)
    (first, *_) = places_of(_backbone(options), options.candidates).rows
    weights = list(network.parameters())
    return Step(network, weights, None, network.get_submodule(first), options)


def search_step(options: Options, *, recompute: bool = False) -> Step:
    """A step of the search, its candidates warm."""
    network = _backbone(options)
    space = places_of(network, options.candidates)
    supernet = PlacesSupernet(network, space)
    supernet.begin_step(1.0)
    if recompute:
        recompute_blocks(supernet.network)
    return Step(supernet, supernet.weights(), supernet.alphas, network, options)


def _backbone(options: Options) -> nn.Module:
    torch.manual_seed(options.seed)
    return build_backbone(options.net, num_classes=10, in_channels=3, width=None)


def measure(options: Options) -> dict[str, Any]:
    """Seconds of all steps, and the ratio of the search's extra to the candidates'."""
    names = [name for name in options.candidates if name != NONE]
    plain, search = plain_step(options), search_step(options)
    alone = {name: plain_step(options, name) for name in names}
    recomputed = search_step(options, recompute=True)
    runs: dict[str, Callable[[], object]] = {
        "plain": plain,
        **alone,
        "search": search,
        "recomputed": recomputed,
    }
    seconds = alternate(runs, options.repeats)
    turns = range(options.repeats)

    def extra(of: str) -> list[float]:
        return [
            (seconds[of][turn] - seconds["plain"][turn])
            / sum(seconds[name][turn] - seconds["plain"][turn] for name in names)
            for turn in turns
        ]

    ratios = sorted(extra("search"))
    kept = {name: saved_bytes(lambda step=step: step.loss(0)) for name, step in runs_of(runs).items()}
    return {
        "net": options.net,
        "candidates": options.candidates,
        "batch": options.batch,
        "size": options.size,
        "seconds": {name: median(values) for name, values in seconds.items()},
        "extra": round(statistics.median(ratios), 3),
        "extra_quartiles": [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]],
        "search_over_plain": round(_median_ratio(seconds["search"], seconds["plain"]), 2),
        "recomputed_over_search": round(_median_ratio(seconds["recomputed"], seconds["search"]), 2),
        "calls": {
            name: count_calls(run).total() for name, run in runs.items() if name in ("plain", "search")
        },
        "kept_mb_an_image": {name: round(value / options.batch / 1e6, 3) for name, value in kept.items()},
        "repeats": options.repeats,
        **surroundings(),
    }


def runs_of(runs: dict[str, Callable[[], object]]) -> dict[str, Step]:
    """The steps among what is timed."""
    return {name: run for name, run in runs.items() if isinstance(run, Step)}


def _median_ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below))


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for name, value in figures.items():
        print(f"{name:24}{value}")


def main() -> None:
    """Prints the figures."""
    torch.set_num_threads(1)
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
