"""How long candidates take at the sites of a network, measured in the network."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evaluators.used_latency import added_latencies
from supernet.attach import insert
from supernet.map_sizes import Shape
from supernet.sites import named_sites

if TYPE_CHECKING:
    import torch
    from torch import nn

    from evaluators.runtimes import Target


def site_latencies(
    model: nn.Module,
    input_shape: Sequence[int],
    alike: Mapping[Shape, Sequence[str]],
    candidates: Mapping[Shape, Iterable[str]],
    build: Callable[[str, int], nn.Module],
    device: torch.device,
    runtime: Target,
    native: bool | None,
) -> tuple[float, dict[tuple[str, Shape], float]]:
    """Milliseconds of a plain network, and what each candidate adds at one site with maps of a shape.

    A candidate stands at all of these sites while it is measured, and what it adds is shared out evenly. In
    runtimes of their own it then stands at every other one, and the larger counts, since neighbours may share
    what a runtime does around them, as layouts that it converts. By itself it would show a call's own time,
    and neither these, nor what a runtime no longer joins, nor caches that the rest of the network fills.

    Args:
        model: The plain network; it stays as it is.
        input_shape: (channels, height, width) of an image.
        alike: The sites by the shape of their maps.
        candidates: What may stand there.
        build: A new module of a candidate, for a number of channels.
        device: Where it is measured.
        runtime: What runs the network there.
        native: Whether cells run by the native operator; where it is to be had if left out.

    Raises:
        InputError: If the runtime refuses a network.
    """
    shape = tuple(input_shape)

    def with_candidate(name: str, channels: int, sites: Sequence[str]) -> nn.Module:
        network = copy.deepcopy(model)
        for site in named_sites(network, dict.fromkeys(sites, channels)):
            insert(network, site, build(name, channels), name)
        return network

    times, costs = list[float](), dict[tuple[str, Shape], float]()
    for of_map, sites in alike.items():
        groups = [tuple(sites)]
        if runtime != "eager" and len(sites) > 1:
            groups.append(tuple(sites[::2]))
        networks = (
            ((name, group), with_candidate(name, of_map[0], group), shape)
            for name in candidates[of_map]
            for group in groups
        )
        plain, added = added_latencies((("", ()), model, shape), networks, device, runtime, native)
        times.append(plain)
        for (name, group), value in added.items():
            costs[name, of_map] = max(0.0, costs.get((name, of_map), 0.0), value / len(group))
    return statistics.median(times), costs
