"""What every candidate costs at every site: a network's cost is the plain one's plus the sum over sites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from evaluators.cost_table import Metric
from foundation.config import config
from search_space.placement import Placement
from search_space.places import Places
from search_space.rows import Choices
from search_space.space import NONE

if TYPE_CHECKING:
    import torch
    from torch import nn

    from evaluators.runtimes import Target


@config
class PlaceTable:
    """One metric of all placements of a space, as a sum.

    Exact for macs and params. For latency an estimate: the median time of a candidate alone on the map of its
    site, beside that of the plain network.
    """

    plain: float
    """Cost of the network without attention."""
    sites: dict[str, dict[str, float]]
    """What each candidate adds at each site."""
    emptied: float | None = None
    """Cost of the network with nothing at the sites, where they are attentions that candidates replace; the
    plain one's if left out."""

    @property
    def fixed(self) -> float:
        """Cost of the network with nothing at the sites."""
        return self.plain if self.emptied is None else self.emptied

    def at(self, row: str, operator: str) -> float:
        """What a candidate adds at a site."""
        return self.sites[row][operator]

    def of(self, genotype: Placement | Choices) -> float:
        """Cost of the network with a placement, or another answer."""
        standing = genotype.attentions if isinstance(genotype, Placement) else dict(genotype.chosen)
        return math.fsum((self.fixed, *(costs[standing[site]] for site, costs in self.sites.items())))


def place_table(
    metric: Metric,
    space: Places,
    model: nn.Module,
    input_shape: Sequence[int],
    device: torch.device,
    runtime: Target = "eager",
) -> PlaceTable:
    """Counts, or measures, what candidates cost at the sites of a network.

    Latency is that of the network and the candidates as they are used (`evaluators.deploying.as_used`).

    Args:
        metric: What is counted.
        space: The sites and candidates.
        model: The plain network; it stays as it is.
        input_shape: (channels, height, width) of an image.
        device: Where latency is measured.
        runtime: What runs network and candidates there.

    Raises:
        InputError: If the network cannot take such images, does not use a site, or the runtime refuses it.
    """
    import torch

    from evaluators.cost import macs, params
    from supernet.map_sizes import map_sizes
    from supernet.placing import candidate

    sizes = map_sizes(model, space.rows, input_shape)
    channels = {site.site: site.channels for site in space.sites}

    def key(row: str, name: str) -> _Key:
        return name, channels[row], sizes[row]

    def built(name: str, width: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return candidate(space, name, width)

    different = {key(row, name) for row in space.rows for name in space.names_at(row) if name != NONE}
    costs = dict[_Key | None, float]()
    if metric == "latency":
        from evaluators.used_latency import used_latencies

        alone = ((each, built(*each[:2]), (each[1], *each[2])) for each in sorted(different))
        whole = ((None, model, tuple(input_shape)),)
        costs = used_latencies(chain(whole, alone), device, runtime)
    else:
        costs[None] = float(params(model) if metric == "params" else macs(model, input_shape))
        for name, width, size in different:
            module, shape = built(name, width), (width, *size)
            costs[name, width, size] = float(params(module) if metric == "params" else macs(module, shape))
    sites = {
        row: {name: 0.0 if name == NONE else costs[key(row, name)] for name in space.names_at(row)}
        for row in space.rows
    }
    return PlaceTable(plain=costs[None], sites=sites)


_Key = tuple[str, int, tuple[int, int]]
"""A candidate, the channels it reads, height and width of its map."""
