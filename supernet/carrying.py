"""A placement made of a network, and carried over to another depth or width of its family."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from foundation.errors import InputError, unknown
from search_space.attention import Attention, as_terms
from search_space.grammar import check_standing
from search_space.placement import Placement, Standing
from search_space.space import NONE
from search_space.term import label
from supernet.hooks import hooks_on
from supernet.sites import Site, find_sites, named_sites, stages_of

log = logging.getLogger(__name__)

NOT_BLOCKS = ("torch.", "torchvision.ops.")
"""Modules of Python whose classes are parts of blocks, not blocks."""


def placement_of(
    model: nn.Module,
    attentions: Mapping[str, Attention] | None = None,
    *,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    network: str | None = None,
) -> Placement:
    """The placement of some attentions in a network, or of what stands in it.

    Args:
        model: The network; it stays as it is.
        attentions: What stands at which site, by the site's dotted name; nothing stands at the others. None
            reads what `attach` has put after the sites.
        sites: Dotted names of the sites; a mapping to channels where the modules do not show them. None finds
            those of the known families.
        network: What the network is called; the name of its class if left out.

    Raises:
        InputError: If a site is unknown, or what stands at one cannot stand after a module.
    """
    found = sites_of(model, sites)
    standing = _standing_in(model, found) if attentions is None else dict(attentions)
    names = [site.name for site in found]
    for name in standing:
        if name not in names:
            raise unknown("site", name, names)
    if sites is not None:  # a placement speaks of all sites that are found, so that its depth is known
        others = _found_sites(model)
        found = others if {site.name for site in others}.issuperset(names) else found
        names = [site.name for site in found]
    stage_of = stages_of(model, found)
    return Placement(
        network=type(model).__name__ if network is None else network,
        family=family_of_sites(model, names),
        standings=tuple(standing_of(site, stage_of[site], standing.get(site.name, NONE)) for site in found),
    )


def standing_of(site: Site, stage: str, attention: Attention) -> Standing:
    """A site with what stands there.

    Raises:
        InputError: If that cannot stand after a module.
    """
    terms = as_terms(attention)
    check_standing(terms, f"site {site.name!r}")
    genotypes = [term.genotype for term in terms if term.genotype]
    if genotypes and (len(genotypes) > 1 or terms[-1].genotype is None):
        raise InputError(f"site {site.name!r}: {label(terms)} has its genotype not at its end; put it last")
    return Standing(
        site=site.name,
        channels=site.channels,
        stage=stage,
        attention=label(terms),
        genotype=genotypes[0] if genotypes else None,
    )


def sites_of(model: nn.Module, sites: Sequence[str] | Mapping[str, int] | None = None) -> list[Site]:
    """The sites that a placement speaks of: after the last norm of each block, or those named."""
    found = find_sites(model, "block") if sites is None else named_sites(model, sites)
    return [site for site in found if not site.before]


def family_of_sites(model: nn.Module, names: Sequence[str]) -> str:
    """The Python modules that define the blocks around some modules, joined by +."""
    families = list[str]()
    for name in names:
        owner, kind = name, type(model).__module__
        while owner:
            owner = owner.rpartition(".")[0]
            kind = type(model.get_submodule(owner)).__module__
            if not kind.startswith(NOT_BLOCKS):
                break
        if kind not in families:
            families.append(kind)
    return "+".join(families)


def carried(placement: Placement, model: nn.Module) -> Placement:
    """A placement at the sites of a network: as it is where it has them, else by stage and relative depth.

    Every block of a stage takes what stands at the block of the same relative depth in that stage: the j-th
    of n blocks, counted from 0, at the floor(m (j + 1/2) / n)-th of the m that the placement speaks of. What
    went where is logged.

    Raises:
        InputError: If the network is of another family, or lacks a stage at which something stands.
    """
    names = [standing.site for standing in placement.standings]
    found = _found_sites(model)
    known = {site.name for site in found}
    if not known.issuperset(names) and set(dict(model.named_modules())).issuperset(names):
        found, known = _named_as(placement, model), set(names)  # sites that somebody named
    if known == set(names):
        of_name = {site.name: site for site in found}
        standings = tuple(
            replace(standing, channels=of_name[standing.site].channels) for standing in placement.standings
        )
        return replace(placement, standings=standings)
    if not found or family_of_sites(model, [site.name for site in found]) != placement.family:
        raise InputError(
            f"the placement is of {placement.network}, whose blocks are those of {placement.family}; "
            f"{type(model).__name__} has neither its sites nor such blocks"
        )
    return _by_depth(placement, model, found)


def _found_sites(model: nn.Module) -> list[Site]:
    """The sites of a network of a known family, or of blocks that are found; none at all in others."""
    try:
        return sites_of(model)
    except InputError:
        return []


def _named_as(placement: Placement, model: nn.Module) -> list[Site]:
    """The sites of a network that somebody named, not all of which are found."""
    channels = {standing.site: standing.channels for standing in placement.standings}
    return named_sites(model, channels)


def _by_depth(placement: Placement, model: nn.Module, sites: Sequence[Site]) -> Placement:
    """A placement carried over to other sites, stage by stage."""
    stage_of, stages = stages_of(model, sites), placement.stages
    here = dict[str, list[Site]]()
    for site in sites:
        here.setdefault(stage_of[site], []).append(site)
    for standing in placement.taken():
        if standing.stage not in here:
            raise InputError(
                f"{standing.attention} stands in stage {standing.stage or '?'} of {placement.network}, and "
                f"{type(model).__name__} has no such stage; it has: {', '.join(sorted(here))}"
            )
    standings, went = list[Standing](), dict[str, list[str]]()
    for stage, found in here.items():
        before = stages.get(stage, [])
        for number, site in enumerate(found):
            if not before:
                standings.append(Standing(site=site.name, channels=site.channels, stage=stage))
                continue
            source = nearest(before, number, len(found))
            standings.append(replace(source, site=site.name, channels=site.channels, stage=stage))
            went.setdefault(source.site, []).append(site.name)
    after = replace(placement, network=type(model).__name__, standings=tuple(standings))
    same = all(len(stages[stage]) == len(here.get(stage, ())) for stage in stages)
    log.log(logging.INFO if same else logging.WARNING, "%s", shown_way(placement, after, went))
    return after


def nearest(before: Sequence[Standing], number: int, count: int) -> Standing:
    """What the block of a number, from 0, among `count` takes of a stage's standings.

    In a shallower stage a block is for several: where nothing stands at the middle one of them, it takes what
    is nearest, so that little is lost.
    """
    many = len(before)
    middle = (2 * number + 1) * many // (2 * count)
    if count >= many or before[middle].attention != NONE:
        return before[middle]
    those = range(number * many // count, -(-(number + 1) * many // count))
    taken = [index for index in those if before[index].attention != NONE]
    return before[min(taken, key=lambda index: abs(index - middle), default=middle)]


def shown_way(before: Placement, after: Placement, went: Mapping[str, Sequence[str]]) -> str:
    """What went where, in one text: for each standing at which something stands, its sites afterwards."""
    ways = [
        f"{standing.attention} of {standing.site} at {', '.join(went.get(standing.site, ())) or 'no site'}"
        for standing in before.taken()
    ]
    return (
        f"the placement of {before.network}, {len(before.standings)} sites, was carried over to the "
        f"{len(after.standings)} of {after.network}: {'; '.join(ways) or 'nothing stands anywhere'}"
    )


def _standing_in(model: nn.Module, sites: Sequence[Site]) -> dict[str, Attention]:
    """What `attach` has put after each site."""
    found = dict[str, Attention]()
    for site in sites:
        texts = [hook.text for hook in hooks_on(model.get_submodule(site.name)) if not hook.before]
        if texts:
            found[site.name] = texts[0]
    return found


__all__ = ["carried", "family_of_sites", "nearest", "placement_of", "sites_of", "standing_of"]
