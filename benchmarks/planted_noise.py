"""Whether searchers leave out an operator that only adds noise, beside random search of at least their cost.

Images of 6x5 pixels in three classes by their brightest channel; ResNet-8 of 8 channels; cells of two nodes,
three edges; on every edge a skip connection, SE, and an operator that adds three deviations of noise. A
search errs by the share of its edges that hold the noise; a third is chance. All run twelve epochs in
batches of 15, as there are 45 images for the weights; differentiable searchers have the alphas' rate at 0.03,
for twelve epochs are few. Everything else is a searcher's own setting. Random search trains as many
candidates as `trials`.
"""

from __future__ import annotations

import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.answer import answer
from benchmarks.searchers import interval
from evaluators.data import ImageSet, halves
from search_space.operator import OPERATORS, Operator, operator
from search_space.space import Space
from search_space.state import State
from searchers import SEARCHERS, SearcherConfig
from searchers.random import Random
from searchers.searches.problem import Problem
from searchers.settings import Differentiable
from supernet.backbones import build_backbone

NOISE = "noise"
SPACE = Space(name="own", primitives=("skip_connect", NOISE, "SE"), num_nodes=2)
SHORT: dict[str, Any] = {"epochs": 12, "batch_size": 15}
"""What the problem's size asks of every searcher."""
ALPHAS: dict[str, Any] = {"alpha_learning_rate": 0.03}
"""What it asks of the differentiable ones."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Searches the planted problem with every differentiable searcher, and with random search."""

    searchers: tuple[str, ...] = ()
    """Which differentiable ones; all if left out."""
    trials: tuple[int, ...] = (3, 12)
    """Candidates of random search: a row each."""
    seeds: int = 40
    """Searches of each."""
    workers: int = 2
    """Processes."""
    json: bool = False
    """Print one JSON object alone."""


def problem(seed: int) -> Problem:
    """The planted problem."""
    if NOISE not in OPERATORS:
        operator(NOISE)(Noise)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    images = torch.randint(0, 120, (90, 6, 5, 3), generator=generator)
    images[torch.arange(90), :, :, labels] += 100
    return Problem(
        space=SPACE,
        backbone=lambda: build_backbone("cifar_resnet8", num_classes=3, width=8),
        halves=halves(ImageSet(images.to(torch.uint8), labels, ("red", "green", "blue"))),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        augment=None,
        fabric=Fabric(accelerator="cpu", devices=1),
        seed=seed,
        form="grouped",
    )


class Noise(Operator):
    """Adds three deviations of noise.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def read(self, state: State) -> Tensor:
        return state.x + 3 * torch.randn_like(state.x)


def configs(options: Options) -> dict[str, SearcherConfig]:
    """What is run, by the name of its row."""
    known = [name for name, kind in SEARCHERS.items() if issubclass(kind, Differentiable)]
    rows: dict[str, SearcherConfig] = {
        f"random, {trials} candidates": Random(trials=trials, **SHORT) for trials in options.trials
    }
    for name in options.searchers or known:
        rows[name] = SEARCHERS[name](**SHORT, **ALPHAS)  # pyright: ignore[reportCallIssue]
    return rows


def err(config: SearcherConfig, seed: int) -> tuple[float, float]:
    """Share of the edges with noise that a search ends with, and its CPU seconds."""
    torch.set_num_threads(1)
    given = problem(seed)
    started = time.process_time()
    search = config.start(given)
    while search.step < search.total_steps:
        search.advance()
    edges = [edge.operator for _, edge in search.genotype().edges()]
    return edges.count(NOISE) / len(edges), time.process_time() - started


def measure(options: Options) -> dict[str, Any]:
    """The figures, and how they were made."""
    rows = dict[str, Any]()
    with ProcessPoolExecutor(options.workers) as pool:
        for name, config in configs(options).items():
            errors, seconds = zip(*pool.map(partial(err, config), range(options.seeds)))
            mean, half = interval(list(errors))
            rows[name] = {
                "edges_with_noise": round(mean, 4),
                "half_interval_95": round(half, 4),
                "cpu_seconds": round(sum(seconds) / len(seconds), 2),
            }
    return {
        "problem": f"one operator of {len(SPACE.primitives)} adds noise, {len(SPACE.edges)} edges",
        "seeds": options.seeds,
        "forced": {**SHORT, **ALPHAS},
        "searchers": rows,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("searcher")
    for title in ("edges with noise %", "CPU s a search"):
        view.add_column(title, justify="right")
    for name, row in figures["searchers"].items():
        share = f"{100 * row['edges_with_noise']:.1f} ± {100 * row['half_interval_95']:.1f}"
        view.add_row(name, share, f"{row['cpu_seconds']:.1f}")
    Console().print(view)
    print(f"mean ± half the 95 % interval over {figures['seeds']} seeds; chance is a third")


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
