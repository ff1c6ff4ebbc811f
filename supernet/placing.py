"""The network whose sites are searched: at each a mixture of candidates, and one alpha matrix."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

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
from search_space.state import State
from supernet.attach import FromIdentity, attached, detach, insert
from supernet.carrying import family_of_sites, sites_of, standing_of
from supernet.mixed import MixedEdges, Mixing
from supernet.modules import freeze_norms, frozen
from supernet.sites import Site, named_sites, stages_of
from supernet.supernet import INITIAL_SCALE

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


RAMP = 0.3
"""Share of a search in which the scale is raised from 0 to 1 and the alphas rest."""


class RestingMixing(Mixing):
    """Mixing weights that are there between passes, too, so that the network can be called by itself.

    Attributes:
        resting: What a pass mixes with that nobody sets weights for.
    """

    __slots__ = ("resting",)

    def __init__(self, resting: Float[Tensor, "sites candidates"]) -> None:
        super().__init__()
        self.resting = resting

    @property
    def weights(self) -> Float[Tensor, "sites candidates"]:
        return self.resting if self._weights is None else self._weights


class CallCount:
    """A hook that counts the passes of a network.

    Attributes:
        passes: How many there were since somebody set it to 0.
    """

    def __init__(self) -> None:
        self.passes = 0

    def __call__(self, module: nn.Module, args: Any) -> None:
        self.passes += 1


class MixedSite(MixedEdges):
    """x + s sum_o w_o (o(x) - x) over the candidates o of a site; `none` is the identity, which adds nothing.

    The scale s starts at 0, so that the network's output is that of the plain one, and is raised to 1 while
    the alphas rest. It is not learned: a scale that is takes from the alphas what they should say. Where
    nothing helps it falls to 0, and with it their gradient; elsewhere it makes up for what goes to `none`.
    Gates are mixed as gates, so that the map is multiplied once; its statistics are computed once for all.

    Args:
        operators: The candidates by their column; without `none` and what does not fit.
        row: Row of the alphas.
        mixing: Where the weights (sites, candidates) are read.
    """

    def __init__(self, operators: Mapping[int, nn.Module], row: int, mixing: Mixing) -> None:
        super().__init__(mixing)
        self.row = row
        self.scale: Tensor
        self.operators = nn.ModuleDict({str(column): module for column, module in operators.items()})
        self.register_buffer("scale", torch.zeros(()))
        self.num_calls = 0

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        self.num_calls += 1
        weights, chosen = self.mixing.weights[self.row], self.mixing.chosen
        state = State(x)
        gates: Tensor | None = None
        change: Tensor | None = None
        for column, operator in self.operators.items():
            if chosen is not None and int(column) != chosen[self.row]:
                continue
            weight = weights[int(column)]
            if isinstance(operator, Gate):
                gate = weight * (operator.gate(state) - 1)
                gates = gate if gates is None else gates + gate
            else:
                term = weight * (read(operator, state) - x)
                change = term if change is None else change + term
        if gates is not None:
            change = x * gates if change is None else change + x * gates
        return x if change is None else x + self.scale * change


class PlacesSupernet(nn.Module):
    """A network with a mixture of all candidates at every site that is searched.

    Alphas have a row for each site and a column for each candidate. A forward pass mixes with softmax(alphas)
    unless other weights are set.

    Attributes:
        warming: Whether the scale of the sites is still below 1, so that the alphas rest.
        freezes_norms: Whether batch norms keep their statistics while all else trains.

    Args:
        network: The plain network; it is changed in place.
        space: Its sites and candidates.
        keeps_modes: Whether whoever owns the network decides what of it is in training mode.
    """

    def __init__(self, network: nn.Module, space: Places, *, keeps_modes: bool = False) -> None:
        super().__init__()
        self.space, self.keeps_modes = space, keeps_modes
        self.warming, self.freezes_norms = True, False
        parameter = next(network.parameters(), torch.zeros(()))
        alphas = INITIAL_SCALE * torch.randn(len(space.rows), len(space.primitives))
        self.alphas = nn.Parameter(alphas.to(parameter.device, parameter.dtype))
        self.mixing = RestingMixing(self.mixing_weights().detach())
        channels = {site.site: site.channels for site in space.sites}
        # Where they stand they are registered.
        self._mixed = {
            name: self._mixture(network, name, channels[name], row) for row, name in enumerate(space.rows)
        }
        self.network, self.count = network, CallCount()
        network.register_forward_pre_hook(self.count)

    def _mixture(self, network: nn.Module, name: str, channels: int, row: int) -> Any:
        """A new mixture, where it belongs in the network."""
        operators = {
            column: candidate(self.space, self.space.primitives[column], channels)
            for column in self.space.columns_at(name)
            if self.space.primitives[column] != NONE
        }
        mixed = MixedSite(operators, row, self.mixing)
        (site,) = named_sites(network, {name: channels})
        insert(network, site, mixed, "a search")
        return mixed

    def forward(
        self, *args: Any, weights: Tensor | None = None, chosen: Sequence[int] | None = None, **others: Any
    ) -> Any:
        """What the network gives.

        Args:
            *args: What the network takes.
            weights: Mixing weights (sites, candidates); None for those that are set, or softmax(alphas).
            chosen: For every site the one column that is computed; None for all of them.
            **others: What the network takes by name.
        """
        if weights is None and self.mixing.is_set:
            return self.network(*args, **others)
        with self.mixed_by(self.mixing_weights() if weights is None else weights, chosen):
            return self.network(*args, **others)

    @contextmanager
    def mixed_by(self, weights: Tensor, chosen: Sequence[int] | None = None) -> Iterator[None]:
        """Passes inside mix with these weights."""
        self.mixing.set(weights, chosen)
        try:
            yield
        finally:
            self.mixing.set(None)

    def train(self, mode: bool = True) -> PlacesSupernet:
        if self.keeps_modes:
            return self
        super().train(mode)
        if self.freezes_norms:
            freeze_norms(self)
        return self

    def mixing_weights(self) -> Float[Tensor, "sites candidates"]:
        """softmax(alphas), a distribution over the candidates of every site; 0 for those that do not fit."""
        return fitting(self.space, self.alphas).softmax(-1)

    @torch.no_grad()
    def begin_step(self, share: float) -> None:
        """Sets the scale of all sites by the share of the search that is over, 0 to 1."""
        self.warming = share < RAMP
        for mixed in self.sites().values():
            mixed.scale.fill_(min(1.0, share / RAMP))

    def rest(self, weights: Float[Tensor, "sites candidates"]) -> None:
        """Sets what passes mix with that nobody sets weights for."""
        self.mixing.resting = weights.detach().clone()

    def weights(self) -> list[nn.Parameter]:
        """All parameters that learn, but the alphas."""
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def frozen_weights(self) -> AbstractContextManager[None]:
        """For the step of the alphas: nothing inside asks for gradients of the weights."""
        return frozen(self.weights())

    def sites(self) -> dict[str, Any]:
        """The mixtures by the names of their sites."""
        return self._mixed

    def derived(self, placement: Placement) -> nn.Module:
        """The plain network with a placement attached, as a copy, with the weights that they have here.

        Before the scale s is 1, a module o is x + s (o(x) - x), as `attach(..., identity=True)` has it.
        """
        mixtures = self.sites()
        chosen = {
            site: mixtures[site].operators[str(self.space.primitives.index(standing.attention))]
            for standing in placement.taken()
            if (site := standing.site) in mixtures
        }
        network = detach(copy.deepcopy(self.network))
        for number, hook in list(network._forward_pre_hooks.items()):
            if isinstance(hook, CallCount):
                del network._forward_pre_hooks[number]
        for standing in placement.taken():
            if standing.site not in chosen:
                continue
            module, scale = copy.deepcopy(chosen[standing.site]), mixtures[standing.site].scale
            if scale != 1:
                module = FromIdentity(module).to(scale.device, scale.dtype)
                module.scale.data.copy_(scale)
            (site,) = named_sites(network, {standing.site: standing.channels})
            insert(network, site, module, standing.attention)
        return network


def fitting(space: Places, alphas: Tensor) -> Tensor:
    """Alphas, minus infinity for candidates that do not fit a site."""
    if not space.left_out:
        return alphas
    return alphas.masked_fill(~fits(space).to(alphas.device), -torch.inf)


def fits(space: Places) -> Tensor:
    """Which candidates fit which site (sites, candidates)."""
    mask = torch.zeros(len(space.rows), len(space.primitives), dtype=torch.bool)
    for number, row in enumerate(space.rows):
        mask[number, space.columns_at(row)] = True
    return mask
