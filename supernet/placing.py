"""The network whose sites are searched: at each a mixture of candidates, and one alpha matrix."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.attention import Attention
from search_space.grammar import standing_terms
from search_space.operator import Gate, read
from search_space.placement import Placement, Standing
from search_space.places import CANDIDATES, Candidate, Places
from search_space.space import NONE
from search_space.state import State, add_all
from supernet.attach import FromIdentity, attached, detach, insert
from supernet.carrying import family_of_sites, sites_of, standing_of
from supernet.mixed import Mixing
from supernet.mixed_network import MixedNetwork, Mixture, uncounted
from supernet.sites import Site, named_sites, stages_of

log = logging.getLogger(__name__)


def places_of(
    model: nn.Module,
    candidates: Sequence[Attention] = CANDIDATES,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    *,
    network: str | None = None,
) -> Places:
    """The space of placements of some candidates at the sites of a network.

    A candidate that cannot be built for the channels of a site is left out there, which is logged.

    Args:
        model: The plain network; it stays as it is.
        candidates: What may stand at each site, "none" among them if one may stay empty.
        sites: Dotted names of the modules that attention may follow; a mapping to channels where the modules
            do not show them. None finds those after the last norm of each block of the known families.
        network: What the network is called; the name of its class if left out.

    Raises:
        InputError: If the network has no such sites or has attention already, or a candidate is unknown or
            cannot stand after a module.
    """
    if attached(model):
        raise InputError("the network has attention already; search the plain network, autola.detach(model)")
    searched = sites_of(model, sites)
    found = searched
    if sites is not None and not (names := {site.name for site in searched}).isdisjoint(_all_names(model)):
        others = [site for site in sites_of(model) if site.name not in names]
        order = {name: number for number, (name, _) in enumerate(model.named_modules())}
        found = sorted([*searched, *others], key=lambda site: order.get(site.name, len(order)))
    stage_of = stages_of(model, found)
    if not candidates:
        raise InputError("there are no candidates; name what may stand at a site, none se eca")
    probes = [standing_of(searched[0], "", candidate) for candidate in candidates]
    space = Places(
        network=type(model).__name__ if network is None else network,
        family=family_of_sites(model, [site.name for site in found]),
        sites=tuple(Standing(site=site.name, channels=site.channels, stage=stage_of[site]) for site in found),
        searched=tuple(site.name for site in searched),
        choices=tuple(Candidate(attention=probe.attention, genotype=probe.genotype) for probe in probes),
        left_out=_left_out(probes, searched),
    )
    for name in space.primitives:
        lost = [site for site, left in space.left_out if left == name]
        if lost:
            log.warning("%s does not fit the channels of %s and is left out there", name, ", ".join(lost))
    return space


def _all_names(model: nn.Module) -> set[str]:
    """Names of the sites that are found in a network; none in one of no known family."""
    try:
        return {site.name for site in sites_of(model)}
    except InputError:
        return set()


def _left_out(probes: Sequence[Standing], sites: Sequence[Site]) -> tuple[tuple[str, str], ...]:
    """Sites and candidates that cannot be built for them."""
    left, fits = list[tuple[str, str]](), dict[tuple[str, int], bool]()
    for site in sites:
        for probe in probes:
            key = probe.attention, site.channels
            if key not in fits:
                try:
                    with torch.device("meta"):
                        _module(probe, site.channels)
                    fits[key] = True
                except InputError:
                    fits[key] = False
            if not fits[key]:
                left.append((site.name, probe.attention))
    return tuple(left)


def _module(standing: Standing, channels: int) -> nn.Module:
    modules = [term.build(channels) for term in standing_terms(standing)]
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def candidate(space: Places, name: str, channels: int) -> nn.Module:
    """A new module of a candidate, for a number of channels.

    Args:
        space: Where the candidate is from.
        name: The candidate in the grammar; not `none`.
        channels: Channels of the site's map.
    """
    (choice,) = (choice for choice in space.choices if choice.attention == name)
    standing = Standing(site="site", channels=channels, attention=name, genotype=choice.genotype)
    return _module(standing, channels)


class MixedSite(Mixture):
    """x + s sum_o w_o (o(x) - x) over the candidates o of a site; `none` is the identity, which adds nothing.

    The scale s starts at 0, so that the network's output is that of the plain one, and is raised to 1 while
    the alphas rest. It is not learned: a scale that is takes from the alphas what they should say. Where
    nothing helps it falls to 0, and with it their gradient; elsewhere it makes up for what goes to `none`.
    Gates are mixed as gates, so that the map is multiplied once; its statistics are computed once for all. It
    is summed as x (1 + s (sum_gates w_o g_o - sum_o w_o)) + s sum_others w_o o(x), which passes over the map
    fewer times.

    Args:
        operators: The candidates by their column; without `none` and what does not fit.
        *of_row: What a `Mixture` takes.
    """

    def __init__(self, operators: Mapping[int, nn.Module], *of_row: Any) -> None:
        super().__init__(*of_row)
        self.operators = nn.ModuleDict({str(column): module for column, module in operators.items()})

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        weights, scale, chosen = self.mixing_now()
        state = State(x)
        gates, features = dict[torch.Size, Tensor](), list[Tensor]()
        taken = list[Tensor]()
        for column, operator in self.operators.items():
            if chosen is not None and int(column) != chosen:
                continue
            taken.append(weight := weights[int(column)])
            if isinstance(operator, Gate):
                gate = operator.gate(state)
                before = gates.get(gate.shape)  # gates of one shape are added before they are spread
                gates[gate.shape] = gate * weight if before is None else torch.addcmul(before, gate, weight)
            else:
                features.append(read(operator, state) * weight)
        if not taken:
            return x
        factor = reduce(torch.add, sorted(gates.values(), key=Tensor.numel), -torch.stack(taken).sum())
        mixed = x * (1 + scale * factor)
        return mixed + scale * add_all(features) if features else mixed


class PlacesSupernet(MixedNetwork):
    """A network with a mixture of all candidates at every site that is searched."""

    def mixture(self, network: nn.Module, row: str, of_row: tuple[int, Mixing, Tensor]) -> MixedSite:
        space: Places = self.space
        (channels,) = (site.channels for site in space.sites if site.site == row)
        operators = {
            column: candidate(space, space.primitives[column], channels)
            for column in space.columns_at(row)
            if space.primitives[column] != NONE
        }
        mixed = MixedSite(operators, *of_row)
        (site,) = named_sites(network, {row: channels})
        insert(network, site, mixed, "a search")
        return mixed

    def derived(self, genotype: Placement) -> nn.Module:
        """The plain network with a placement attached, as a copy, with the weights that they have here.

        Before the scale s is 1, a module o is x + s (o(x) - x), as `attach(..., identity=True)` has it.
        """
        mixtures = cast("Mapping[str, MixedSite]", self.sites())
        chosen = {
            site: mixtures[site].operators[str(self.space.primitives.index(standing.attention))]
            for standing in genotype.taken()
            if (site := standing.site) in mixtures
        }
        network = uncounted(detach(copy.deepcopy(self.network)))
        for standing in genotype.taken():
            if standing.site not in chosen:
                continue
            module, scale = copy.deepcopy(chosen[standing.site]), mixtures[standing.site].scale
            if scale != 1:
                module = FromIdentity(module).to(scale.device, scale.dtype)
                module.scale.data.copy_(scale)
            (site,) = named_sites(network, {standing.site: standing.channels})
            insert(network, site, module, standing.attention)
        return network
