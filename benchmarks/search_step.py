"""One search step (architecture step and weight step, first order): the grouped form beside the plain one.

One thread, CPU seconds, both forms taking turns in one process, random images and labels. The plain form is
the public step: NCHW, every primitive alone, `none` computed, the architecture step through a full backward.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.answer import answer
from benchmarks.measure import alternate, count_calls, median, peak_memory_mb, saved_bytes, surroundings
from search_space.space import SPACES
from supernet.backbones import build_backbone
from supernet.blocks import compile_blocks, recompute_blocks
from supernet.supernet import Form, Supernet


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times one search step of the grouped and of the plain form of a supernet."""

    net: str = "cifar_resnet20"
    """Backbone."""
    batch: int = 64
    """Images of each of the two halves of a step."""
    size: int = 32
    """Height and width of the images."""
    repeats: int = 3
    """Timed steps of each form; the median counts."""
    space: str = "hoga"
    """Search space."""
    compile: bool = False
    """Also time the grouped form with torch.compile, block by block; compiling takes minutes."""
    recompute: bool = False
    """Also time the grouped form whose blocks are computed again in the backward pass."""
    seed: int = 0
    """Seed of the weights and of the images."""
    json: bool = False
    """Print one JSON object alone."""


class Step:
    """Both halves of a search step, with the optimizers of the public search."""

    def __init__(self, supernet: Supernet, batches: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]):
        self.supernet = supernet
        self.batches = batches
        self.alphas_alone = supernet.form != "plain"
        self.weights = torch.optim.SGD(
            supernet.weights(), 0.025, momentum=0.9, weight_decay=5e-4, foreach=self.alphas_alone
        )
        self.alphas = torch.optim.Adam([supernet.alphas], 3e-3, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(self, half: int) -> Tensor:
        images, labels = self.batches[half]
        return F.cross_entropy(self.supernet(images), labels)

    def architecture(self) -> None:
        alphas = self.supernet.alphas
        self.alphas.zero_grad()
        if self.alphas_alone:
            with self.supernet.frozen_weights():
                (alphas.grad,) = torch.autograd.grad(self.loss(1), [alphas])
        else:
            self.loss(1).backward()
        self.alphas.step()

    def weight(self) -> None:
        self.weights.zero_grad()
        self.loss(0).backward()
        torch.nn.utils.clip_grad_norm_(self.supernet.weights(), 5.0)
        self.weights.step()

    def __call__(self) -> None:
        self.architecture()
        self.weight()


def build_step(form: Form, options: Options) -> Step:
    """A step of a supernet in one of its forms, the same images for all."""
    torch.manual_seed(options.seed)
    supernet = Supernet(build_backbone(options.net), SPACES[options.space], form)
    images = torch.randn(2, options.batch, 3, options.size, options.size)
    labels = torch.randint(10, (2, options.batch))
    return Step(supernet, ((images[0], labels[0]), (images[1], labels[1])))


def measure(options: Options) -> dict[str, Any]:
    """All figures; times in CPU seconds."""
    torch.set_num_threads(1)
    plain, grouped = build_step("plain", options), build_step("grouped", options)
    seconds = alternate({"plain": plain, "grouped": grouped}, options.repeats)
    plain_calls, grouped_calls = count_calls(plain), count_calls(grouped)
    figures = {
        "net": options.net,
        "batch": options.batch,
        "plain_s": median(seconds["plain"]),
        "grouped_s": median(seconds["grouped"]),
        "ratio": round(median(seconds["plain"]) / median(seconds["grouped"]), 2),
        "ratio_range": spread(seconds["plain"], seconds["grouped"]),
        "ops_per_step": grouped_calls.total(),
        "ops_per_step_plain": plain_calls.total(),
        "convolutions_per_forward": grouped_calls["convolution"] // 2,
        "convolutions_per_forward_plain": plain_calls["convolution"] // 2,
        "saved_mb_per_image": saved_mb(grouped),
        "saved_mb_per_image_plain": saved_mb(plain),
        "peak_memory_mb": peak_memory_mb(),
        "repeats": options.repeats,
        **surroundings(),
    }
    if options.compile:
        figures |= compiled_figures(options, plain)
    if options.recompute:
        figures |= recomputed_figures(options, grouped)
    return figures


def compiled_figures(options: Options, plain: Step) -> dict[str, Any]:
    """The grouped form compiled block by block, beside the plain form."""
    compiled = build_step("grouped", options)
    compile_blocks(compiled.supernet.network)
    began = time.perf_counter()
    compiled()
    compile_seconds = time.perf_counter() - began
    seconds = alternate({"plain": plain, "compiled": compiled}, options.repeats)
    return {
        "compile_wall_s": round(compile_seconds, 1),
        "compiled_s": median(seconds["compiled"]),
        "compiled_ratio": round(median(seconds["plain"]) / median(seconds["compiled"]), 2),
    }


def recomputed_figures(options: Options, grouped: Step) -> dict[str, Any]:
    """The grouped form that keeps the inputs of its blocks alone, beside the one that keeps all."""
    recomputed = build_step("grouped", options)
    recompute_blocks(recomputed.supernet.network)
    seconds = alternate({"grouped": grouped, "recomputed": recomputed}, options.repeats)
    return {
        "recomputed_s": median(seconds["recomputed"]),
        "recomputed_to_grouped": round(median(seconds["recomputed"]) / median(seconds["grouped"]), 2),
        "recomputed_saved_mb_per_image": saved_mb(recomputed),
    }


def saved_mb(step: Step) -> float:
    """MB kept for the backward of one weight step, an image."""
    kept = saved_bytes(lambda: step.loss(0))
    return round(kept / len(step.batches[0][0]) / 1e6, 2)


def spread(slow: list[float], fast: list[float]) -> list[float]:
    """Smallest and largest ratio of turns side by side."""
    ratios = sorted(a / b for a, b in zip(slow, fast))
    return [round(ratios[0], 2), round(ratios[-1], 2)]


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for name, value in figures.items():
        print(f"{name:32}{value}")


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
