"""What the networks of a comparison cost, counted and timed."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from autola.configs import RetrainConfig
from autola.member import first_step
from evaluators.cost import latency_ms, latency_ratio, macs, params
from evaluators.latency import own_threads
from evaluators.tasks import Setting, TaskConfig
from search_space.grammar import Term

STEPS = 5
"""Train steps that are timed."""

WARM_UP = 2
"""Train steps before them."""


@dataclass(frozen=True)
class Plain:
    """The plain network that all of a block are timed beside.

    Attributes:
        network: The network, on the device.
        milliseconds: Its time for one image.
    """

    network: nn.Module
    milliseconds: float


def plain_of(task: TaskConfig, setting: Setting, fabric: Fabric) -> Plain:
    """The plain network of a task, timed."""
    network = _network(task, (), setting, fabric)
    with own_threads(1):
        return Plain(network, latency_ms(network, setting.input_shape, device=fabric.device))


def cost_of(
    config: RetrainConfig, setting: Setting, fabric: Fabric, plain: Plain | None
) -> dict[str, int | float | None]:
    """Costs of the network of a training.

    The time of an image is that of the plain network, times the median ratio over pairs of passes one right
    after the other, so that what slows the machine for a while slows both. That of a train step is a median.

    Args:
        config: The training.
        setting: Its task, the data read.
        fabric: Device and processes.
        plain: What is timed beside; None to count and time nothing.
    """
    task, (attention,) = config.task, config.attentions
    with torch.device("meta"):
        outline = task.network(setting.describe(), attention)
    counted: dict[str, Any] = {"params": params(outline), "macs": macs(outline, setting.input_shape)}
    if plain is None:
        return counted | dict.fromkeys(("step_ms", "latency_ms", "latency_ratio"))
    network = _network(task, attention, setting, fabric)
    ratio = latency_ratio(network, plain.network, input_shape=setting.input_shape, device=fabric.device)
    times = {"latency_ms": round(ratio * plain.milliseconds, 4), "latency_ratio": round(ratio, 4)}
    return counted | {"step_ms": _step_ms(config, setting, fabric), **times}


def _network(task: TaskConfig, attention: tuple[Term, ...], setting: Setting, fabric: Fabric) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return task.network(setting.describe(), attention).to(fabric.device)


def _step_ms(config: RetrainConfig, setting: Setting, fabric: Fabric) -> float | None:
    """Median time of a train step; None where a training has too few."""
    job = first_step(config, setting, config.attentions[0], config.seeds[0], fabric)
    times = list[float]()
    for step in range(min(WARM_UP + STEPS, job.total_steps)):
        begun = time.perf_counter()
        job.advance()
        if fabric.device.type != "cpu":
            torch.accelerator.synchronize(fabric.device)
        if step >= WARM_UP:
            times.append(1e3 * (time.perf_counter() - begun))
    return round(statistics.median(times), 3) if times else None
