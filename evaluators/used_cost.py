"""What networks cost as they are used: deployed, by a runtime, timed side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from evaluators.cost import Cost, measure, network_builder
from evaluators.latency import own_threads
from evaluators.runtimes import Target, check_target
from evaluators.used_latency import Named, added_latencies, check_native
from foundation.errors import InputError
from search_space.attention import as_terms


def measure_used(
    backbone: str,
    attentions: Sequence[str],
    *,
    input_shape: Sequence[int] | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    runtime: Target = "eager",
    native: bool | None = None,
    threads: int = 1,
) -> list[Cost]:
    """Costs of a network with each of several attentions, on the CPU.

    They take turns, one image at a time; a latency is the first network's, times the median over rounds of
    the ratio to its time in the same round. Parameters and multiply-accumulates are those of the networks as
    they train.

    Args:
        backbone: Registered name.
        attentions: In the grammar; the first is what the others are timed beside.
        input_shape: (channels, height, width) of the image; None for the usual one.
        width: Channels of the first stage; None for its own.
        num_classes: Outputs of the classifier; None for the usual ones.
        runtime: What runs the networks.
        native: Whether cells run by the native operator; where it is to be had if left out.
        threads: CPU threads.

    Raises:
        InputError: If a name is wrong, channels do not fit, or the runtime or operator cannot be used.
    """
    check_target(runtime)
    if threads < 1:
        raise InputError(f"threads={threads} is not positive")
    cpu = torch.device("cpu")
    if native:
        check_native(cpu, runtime)
    counted = [
        measure(
            backbone,
            attention,
            input_shape=input_shape,
            width=width,
            num_classes=num_classes,
            latency=False,
            threads=threads,
        )
        for attention in attentions
    ]

    def networks() -> Iterator[Named[int]]:
        for number, attention in enumerate(attentions):
            build, shape = network_builder(backbone, as_terms(attention), input_shape, width, num_classes)
            model: nn.Module = build(cpu)
            yield number, model, tuple(shape)

    with own_threads(threads):
        every = networks()
        first, added = added_latencies(next(every), every, cpu, runtime, native)
    return [
        replace(cost, latency_ms=first + added.get(number, 0.0), device="cpu", threads=threads)
        for number, cost in enumerate(counted)
    ]
