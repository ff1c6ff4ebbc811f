"""What a step of each differentiable searcher costs beside one of first-order `darts`.

Grouped form, one thread, CPU seconds, the searchers taking turns in one process, random images and labels.
Calls are dispatched operator calls; memory is what autograd keeps for the backward pass of the alphas' loss.
Alphas do not rest. Calls and seconds are means of several steps, for some searchers draw.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.table import Table

from benchmarks.answer import answer
from benchmarks.measure import alternate, count_calls, saved_bytes
from evaluators.data import ImageSet
from search_space.space import SPACES
from searchers import SEARCHERS
from searchers.darts import Darts
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.settings import Differentiable
from supernet.backbones import build_backbone


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times one step of every differentiable searcher."""

    net: str = "cifar_resnet20"
    """Backbone."""
    batch: int = 16
    """Images of each of the two halves of a step."""
    size: int = 32
    """Height and width of the images."""
    repeats: int = 5
    """Timed steps of each searcher; their mean counts."""
    space: str = "hoga"
    """Search space."""
    json: bool = False
    """Print one JSON object alone."""


def build_searches(options: Options) -> dict[str, DifferentiableSearch]:
    """A search of every differentiable searcher, and of the orders of `darts`, on one problem."""
    num_images = 2 * options.batch
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (num_images, options.size, options.size, 3), generator=generator)
    images = ImageSet(pixels.to(torch.uint8), torch.arange(num_images) % 10, tuple(map(str, range(10))))
    problem = Problem(
        space=SPACES[options.space],
        backbone=lambda: build_backbone(options.net, num_classes=10),
        halves=(images, images),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        augment=None,
        fabric=Fabric(accelerator="cpu", devices=1),
        seed=0,
        form="grouped",
    )
    told = {"epochs": 1000, "batch_size": options.batch, "alpha_warmup": 0.0}
    configs = {name: kind(**told) for name, kind in SEARCHERS.items() if issubclass(kind, Differentiable)}
    configs["darts, second"] = Darts(**told, order="second")
    configs["darts, finite difference"] = Darts(**told, order="finite_difference")
    searches = dict[str, DifferentiableSearch]()
    for name, config in configs.items():
        search = config.start(problem)
        assert isinstance(search, DifferentiableSearch)
        searches[name] = search
    return searches


def measure(options: Options) -> dict[str, Any]:
    """Figures of every searcher, and their ratios to first-order `darts`."""
    torch.set_num_threads(1)
    searches = build_searches(options)
    seconds = alternate({name: search.advance for name, search in searches.items()}, options.repeats)
    figures = dict[str, dict[str, float]]()
    for name, search in searches.items():
        calls = [count_calls(search.advance).total() for _ in range(options.repeats)]
        batch = search.alpha_batches.batch(0, 0)
        kept = saved_bytes(lambda s=search: s.updates.loss(batch, s.mixture.draw()))  # noqa: B023, called at once
        figures[name] = {
            "cpu_s": sum(seconds[name]) / options.repeats,
            "calls": sum(calls) / options.repeats,
            "kept_mb_per_image": kept / options.batch / 1e6,
        }
    plain = figures["darts"]
    for row in figures.values():
        row |= {f"{key}_ratio": row[key] / plain[key] for key in list(plain) if not key.endswith("ratio")}
    return {
        "net": options.net,
        "batch": options.batch,
        "searchers": figures,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    rows = figures.pop("searchers")
    table = Table(*("searcher", *next(iter(rows.values()))), box=None)
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.3g}" for value in row.values()))
    Console().print(table)
    print("  ".join(f"{key} {value}" for key, value in figures.items()))


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
