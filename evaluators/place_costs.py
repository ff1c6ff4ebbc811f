"""What every candidate costs at every site: a network's cost is the plain one's plus the sum over sites."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

    Exact for macs and params. For latency an estimate: what a candidate adds to the network at all sites with
    maps of one shape, or at every other of them, shared out evenly; the larger.
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

    @property
    def sums(self) -> tuple[PlaceTable, ...]:
        """Itself: all placements run alike."""
        return (self,)

    def knows(self, row: str, operator: str) -> bool:
        """Whether an operator may stand in a row: what competes there is measured."""
        return operator in self.sites[row]

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
    native: bool | None = None,
) -> PlaceTable:
    """Counts, or measures, what candidates cost at the sites of a network.

    Latency is that of the network as it is used (`evaluators.deploying.as_used`), with candidates or without.

    Args:
        metric: What is counted.
        space: The sites and candidates.
        model: The plain network; it stays as it is.
        input_shape: (channels, height, width) of an image.
        device: Where latency is measured.
        runtime: What runs the network there.
        native: Whether cells run by the native operator; where it is to be had if left out.

    Raises:
        InputError: If the network cannot take such images, does not use a site, or the runtime refuses it.
    """
    import torch

    from evaluators.cost import macs, params
    from supernet.map_sizes import Shape, map_sizes
    from supernet.placing import candidate

    sizes = map_sizes(model, space.rows, input_shape)
    channels = {site.site: site.channels for site in space.sites}
    alike, candidates = dict[Shape, list[str]](), dict[Shape, dict[str, None]]()
    for row in space.rows:
        of_map = channels[row], sizes[row]
        alike.setdefault(of_map, []).append(row)
        names = dict.fromkeys(name for name in space.names_at(row) if name != NONE)
        candidates[of_map] = candidates.get(of_map, {}) | names

    def built(name: str, width: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return candidate(space, name, width)

    if metric == "latency":
        from evaluators.site_latencies import site_latencies

        where = device, runtime, native
        plain, costs = site_latencies(model, input_shape, alike, candidates, built, *where)
    else:
        plain = float(params(model) if metric == "params" else macs(model, input_shape))
        costs = dict[tuple[str, Shape], float]()
        for of_map, names in candidates.items():
            for name in names:
                module, shape = built(name, of_map[0]), (of_map[0], *of_map[1])
                costs[name, of_map] = float(params(module) if metric == "params" else macs(module, shape))
    sites = {
        row: {
            name: 0.0 if name == NONE else costs[name, (channels[row], sizes[row])]
            for name in space.names_at(row)
        }
        for row in space.rows
    }
    return PlaceTable(plain=plain, sites=sites)
