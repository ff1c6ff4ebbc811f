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
from evaluators.cost import latency_ms, macs, params
from evaluators.deploying import as_used
from evaluators.latency import latency_ratio, own_threads
from evaluators.tasks import Setting, TaskConfig
from evaluators.train import Training
from search_space.term import Term

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
    network = as_used(_network(task, (), setting, fabric), setting.input_shape)
    with own_threads(1):
        return Plain(network, latency_ms(network, setting.input_shape, device=fabric.device))


def cost_of(
    config: RetrainConfig, setting: Setting, fabric: Fabric, plain: Plain | None
) -> dict[str, int | float | None]:
    """Costs of the network of a training.

    Images are timed in the deployed form: the time of one is that of the plain network, times the median
    ratio over pairs of passes one right after the other, so that what slows the machine slows both.

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
    network = as_used(_network(task, attention, setting, fabric), setting.input_shape)
    ratio = latency_ratio(network, plain.network, input_shape=setting.input_shape, device=fabric.device)
    times = {"latency_ms": round(ratio * plain.milliseconds, 4), "latency_ratio": round(ratio, 4)}
    return counted | {"step_ms": _step_ms(config, setting, fabric), **times}


def _network(task: TaskConfig, attention: tuple[Term, ...], setting: Setting, fabric: Fabric) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return task.network(setting.describe(), attention).to(fabric.device)


def step_ratio(config: RetrainConfig, other: RetrainConfig, setting: Setting, fabric: Fabric) -> float:
    """Time of a training's step over that of another's: the median over pairs of steps in turn."""
    ours, theirs = (_job(each, setting, fabric) for each in (config, other))
    steps = min(WARM_UP + STEPS, ours.total_steps, theirs.total_steps)
    pairs = [(_seconds(ours, fabric), _seconds(theirs, fabric)) for _ in range(steps)]
    return statistics.median(a / b for a, b in pairs[WARM_UP:] or pairs)


def _step_ms(config: RetrainConfig, setting: Setting, fabric: Fabric) -> float:
    """Median time of a train step."""
    job = _job(config, setting, fabric)
    times = [_seconds(job, fabric) for _ in range(min(WARM_UP + STEPS, job.total_steps))]
    return round(1e3 * statistics.median(times[WARM_UP:] or times), 3)


def _job(config: RetrainConfig, setting: Setting, fabric: Fabric) -> Training:
    return first_step(config, setting, config.attentions[0], config.seeds[0], fabric)


def _seconds(job: Training, fabric: Fabric) -> float:
    """Time of the next step."""
    begun = time.perf_counter()
    job.advance()
    if fabric.device.type != "cpu":
        torch.accelerator.synchronize(fabric.device)
    return time.perf_counter() - begun
