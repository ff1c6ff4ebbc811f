"""Times of networks and operators as they are used: deployed, by a runtime, on a device."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from evaluators.deploying import as_used
from evaluators.latency import in_turn, random_images
from evaluators.runtimes import Target, runner

K = TypeVar("K")

ROUNDS = 25
"""Rounds in which everything runs once; the median counts."""


def used_latencies(
    modules: Iterable[tuple[K, nn.Module, tuple[int, ...]]], device: torch.device, target: Target = "eager"
) -> dict[K, float]:
    """Median milliseconds of a pass of one image, of modules that take turns, so that noise meets all.

    PyTorch runs cells by the native operator where there is a compiler.

    Args:
        modules: Each with its name and the (channels, height, width) of what it is given; new ones, one at a
            time.
        device: Where they run.
        target: What runs them.

    Raises:
        InputError: If the target is not installed or refuses a module.
    """
    native = device.type == "cpu" and target in ("eager", "inductor")
    runs = dict[K, Callable[[], Tensor]]()
    with torch.no_grad():
        for name, module, shape in modules:
            used = as_used(module, native=native).to(device)
            runs[name] = runner(used, random_images(used, 1, shape), target)
        seconds: Mapping[K, list[float]] = in_turn(runs, ROUNDS, device.type)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
