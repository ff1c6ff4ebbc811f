"""What every candidate costs at every site: a network's cost is the plain one's plus the sum over sites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluators.cost_table import Metric
from foundation.config import config
from search_space.placement import Placement
from search_space.places import Places
from search_space.space import NONE

if TYPE_CHECKING:
    import torch
    from torch import nn


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

    @property
    def fixed(self) -> float:
        """Cost of the network with nothing anywhere: that of the plain one."""
        return self.plain

    def at(self, row: str, operator: str) -> float:
        """What a candidate adds at a site."""
        return self.sites[row][operator]

    def of(self, genotype: Placement) -> float:
        """Cost of the network with a placement."""
        standing = genotype.attentions
        return math.fsum((self.plain, *(costs[standing[site]] for site, costs in self.sites.items())))


def place_table(
    metric: Metric, space: Places, model: nn.Module, input_shape: Sequence[int], device: torch.device
) -> PlaceTable:
    """Counts, or measures, what candidates cost at the sites of a network.

    Args:
        metric: What is counted.
        space: The sites and candidates.
        model: The plain network; it stays as it is.
        input_shape: (channels, height, width) of an image.
        device: Where latency is measured.

    Raises:
        InputError: If the network cannot take such images, or does not use a site.
    """
    import torch

    from evaluators.cost import macs, params
    from evaluators.latency import latency_ms
    from supernet.map_sizes import map_sizes
    from supernet.placing import candidate

    sizes = map_sizes(model, space.rows, input_shape)
    channels = {site.site: site.channels for site in space.sites}
    measured = dict[tuple[str, int, tuple[int, int]], float]()

    def cost(row: str, name: str) -> float:
        if name == NONE:
            return 0.0
        key = name, channels[row], sizes[row]
        if key not in measured:
            with torch.random.fork_rng(devices=[]):
                module = candidate(space, name, channels[row])
            shape = channels[row], *sizes[row]
            if metric == "latency":
                measured[key] = latency_ms(module.to(device), shape, device=device)
            else:
                measured[key] = float(params(module) if metric == "params" else macs(module, shape))
        return measured[key]

    sites = {row: {name: cost(row, name) for name in space.names_at(row)} for row in space.rows}
    if metric == "latency":
        plain = latency_ms(model, input_shape, device=device)
    else:
        plain = float(params(model) if metric == "params" else macs(model, input_shape))
    return PlaceTable(plain=plain, sites=sites)
