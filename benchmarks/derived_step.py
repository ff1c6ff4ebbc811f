"""Train step and inference of found networks: plain, SE, CBAM and HOGA backbones side by side.

One thread, CPU seconds, all networks taking turns in one process, random images and labels.
`hoga_stock` is the same module by PyTorch's own operators, `hoga_edge_by_edge` with every operator alone, in
NCHW; `hoga_fuse_...` the published edges under a leaner fuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.answer import answer
from benchmarks.measure import alternate, count_calls, median, peak_memory_mb, saved_bytes, surroundings
from search_space.cell import FoundEdges
from search_space.found_cell import FoundCell
from search_space.genotype import PUBLISHED, Fuse
from search_space.grammar import parse_attention
from search_space.operator import read
from search_space.state import State
from search_space.term import Term
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.mixed import SeparateState


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times train steps and inference of networks with attention, relative to the plain backbone."""

    net: str = "cifar_resnet20"
    """Backbone."""
    batch: int = 64
    """Images of a step."""
    size: int = 32
    """Height and width of the images."""
    attentions: tuple[str, ...] = ("none", "se", "cbam", "hoga")
    """What to attach, in the grammar of attention; the first is what the others are relative to."""
    fuses: tuple[Fuse, ...] = ("single", "none")
    """Other fuses to attach the published genotype with."""
    repeats: int = 5
    """Timed steps of each network; the median counts."""
    json: bool = False
    """Print one JSON object alone."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with its images and optimizer."""

    model: nn.Module
    images: Tensor
    labels: Tensor

    def train(self) -> Callable[[], object]:
        optimizer = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)

        def step() -> None:
            self.model.train()
            optimizer.zero_grad()
            F.cross_entropy(self.model(self.images), self.labels).backward()
            optimizer.step()

        return step

    def inference(self) -> Callable[[], object]:
        def run() -> Tensor:
            self.model.eval()
            with torch.inference_mode():
                return self.model(self.images)

        return run


def build_subjects(options: Options) -> dict[str, Subject]:
    """Every network, in channels-last layout, and the HOGA network edge by edge in NCHW."""
    torch.manual_seed(0)
    images = torch.randn(options.batch, 3, options.size, options.size)
    labels = torch.randint(10, (options.batch,))
    last = images.contiguous(memory_format=torch.channels_last)
    subjects = {}
    terms = {attention: parse_attention(attention) for attention in options.attentions}
    for fuse in options.fuses:
        lean = Term(name="hoga", genotype=replace(PUBLISHED, fuse=fuse))
        terms[f"hoga_fuse_{fuse}"] = (lean,)
    for name, attention in terms.items():
        model = attach(build_backbone(options.net), attention)
        subjects[name] = Subject(model=model, images=last, labels=labels)
        if name == "hoga":
            stock, alone = (attach(build_backbone(options.net), attention) for _ in range(2))
            for module in (*stock.modules(), *alone.modules()):
                if isinstance(module, FoundCell):
                    module.native = False
            for module in alone.modules():
                if isinstance(module, FoundEdges):
                    module.forward = partial(edge_by_edge, module)
            subjects["hoga_stock"] = Subject(model=stock, images=last, labels=labels)
            subjects["hoga_edge_by_edge"] = Subject(model=alone, images=images, labels=labels)
    return subjects


def edge_by_edge(edges: FoundEdges, source: int, state: State) -> list[tuple[int, Tensor]]:
    """The operators of a cell alone: each computes the statistics it needs the textbook way."""
    groups = state.groups()
    return [
        (node, read(edges.operators[name], SeparateState(groups[node - 1 if source == 0 else 0].x)))
        for node, name in edges.readers.get(source, [])
    ]


def measure(options: Options) -> dict[str, Any]:
    """All figures; times in CPU seconds, and relative to the first network."""
    torch.set_num_threads(1)
    subjects = build_subjects(options)
    train = alternate({name: subject.train() for name, subject in subjects.items()}, options.repeats)
    infer = alternate({name: subject.inference() for name, subject in subjects.items()}, options.repeats)
    first = next(iter(subjects))
    networks = {
        name: {
            "train_s": median(train[name]),
            "train_ratio": round(median(train[name]) / median(train[first]), 2),
            "inference_s": median(infer[name]),
            "inference_ratio": round(median(infer[name]) / median(infer[first]), 2),
            "ops_per_train_step": count_calls(subject.train()).total(),
            "saved_mb_per_image": round(
                saved_bytes(lambda subject=subject: subject.model.train()(subject.images))
                / options.batch
                / 1e6,
                2,
            ),
        }
        for name, subject in subjects.items()
    }
    return {
        "net": options.net,
        "batch": options.batch,
        "networks": networks,
        "peak_memory_mb": peak_memory_mb(),
        "repeats": options.repeats,
        **surroundings(),
    }


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    columns = list(next(iter(figures["networks"].values())))
    print(f"{figures['net']}, batch {figures['batch']}, torch {figures['torch']}, one thread")
    print(f"{'':24}" + "".join(f"{column:>20}" for column in columns))
    for name, values in figures["networks"].items():
        print(f"{name:24}" + "".join(f"{value:>20}" for value in values.values()))


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
