"""Times of networks and operators as they are used: deployed, by a runtime, on a device."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from evaluators.deploying import NATIVE_TARGETS, as_used, why_without
from evaluators.latency import in_turn, random_images
from evaluators.runtimes import Target, runner
from foundation.errors import InputError, listed

K = TypeVar("K")

log = logging.getLogger(__name__)

ROUNDS = 3, 100
"""The fewest and the most rounds in which everything runs once; the median counts."""

SECONDS = 5.0
"""How long all rounds together may take, where they are not the fewest."""

Named = tuple[K, nn.Module, tuple[int, ...]]
"""A name, a network or operator, and the (channels, height, width) of what it is given."""


def used_latencies(
    modules: Iterable[Named[K]],
    device: torch.device,
    target: Target = "eager",
    native: bool | None = None,
) -> dict[K, float]:
    """Median milliseconds of a pass of one image, of modules that take turns, so that noise meets all.

    Args:
        modules: Each with its name and the shape of what it is given; new ones, one at a time.
        device: Where they run.
        target: What runs them.
        native: Whether cells run by the native operator; where it is to be had if left out.

    Raises:
        InputError: If the target is not installed or refuses a module.
    """
    seconds = _in_turn(modules, device, target, native)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def added_latencies(
    plain: Named[K], others: Iterable[Named[K]], device: torch.device, target: Target, native: bool | None
) -> tuple[float, dict[K, float]]:
    """Milliseconds of a network, and how many more others take.

    The median over rounds of the share of the network's time in the same round, so that what slows the
    machine for a while slows both.

    Args:
        plain: The network.
        others: What it is compared with.
        device: As of `used_latencies`.
        target: Likewise.
        native: Likewise.

    Raises:
        InputError: If the target is not installed or refuses a module.
    """
    seconds = _in_turn(chain((plain,), others), device, target, native)
    beside = seconds.pop(plain[0])
    milliseconds = 1e3 * statistics.median(beside)
    return milliseconds, {
        name: milliseconds * (statistics.median(map(float.__truediv__, values, beside)) - 1)
        for name, values in seconds.items()
    }


def runs_native(device: torch.device, target: str) -> bool:
    """Whether cells run by the native operator where nobody says otherwise: on a CPU, with a compiler."""
    if device.type != "cpu" or target not in NATIVE_TARGETS:
        return False
    reason = why_without(target)
    if reason:
        log.info("cells run in stock operators: %s", reason)
    return not reason


def check_native(device: torch.device, target: str) -> None:
    """Raises an error where the native operator cannot be had.

    Raises:
        InputError: If it cannot; says why.
    """
    if device.type != "cpu":
        raise InputError(f"the native operator runs on the CPU, not on {device}; leave out native")
    if target not in NATIVE_TARGETS:
        raise InputError(f"{target} does not run the native operator; {listed(NATIVE_TARGETS)} do")
    if reason := why_without(target):
        raise InputError(reason)


def _in_turn(
    modules: Iterable[Named[K]], device: torch.device, target: Target, native: bool | None
) -> dict[K, list[float]]:
    """Seconds of every round."""
    native = runs_native(device, target) if native is None else native
    runs, passes = dict[K, Callable[[], Tensor]](), 0.0
    with torch.no_grad():
        for name, module, shape in modules:
            used = as_used(module, native=native).to(device)
            runs[name] = run = runner(used, random_images(used, 1, shape), target)
            run()  # the first takes longer
            begun = time.perf_counter()
            run()
            passes += time.perf_counter() - begun
        least, most = ROUNDS
        rounds = min(most, max(least, int(SECONDS / max(2 * passes, 1e-6))))
        return in_turn(runs, rounds, device.type, follow=True)
