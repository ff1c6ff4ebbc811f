"""The space of placements in a Transformer: its attentions, and what may stand at each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from foundation.errors import InputError, unknown
from search_space.grammar import check_standing, parse_attention
from search_space.placement import Standing
from search_space.places import Candidate, Places
from search_space.term import SITES
from supernet.networks.transformer import Transformer
from supernet.sequence_placing import standing_at, text_at
from supernet.sequence_sites import FAMILY, ROLES, site_named, site_of


def sequence_places(
    network: Transformer, candidates: Sequence[str], sites: Sequence[str] | None = None, *, name: str
) -> Places:
    """The space of placements of some candidates at the attentions of a Transformer.

    A candidate that cannot stand at an attention is left out there.

    Args:
        network: The network; what stands in it stays at sites that are not searched.
        candidates: What may stand at each, in the grammar and without a site; "none" is plain attention.
        sites: The attentions that are searched, as the grammar calls them, or one of a layer as
            decoder.self.2; None for all.
        name: What the network is called.

    Raises:
        InputError: If a candidate is unknown or fits no site, or there is no such site.
    """
    now = standing_at(network)
    searched = _searched(sites, list(now))
    texts, left_out = list[str](), list[tuple[str, str]]()
    for candidate in candidates:
        check_standing(parse_attention(candidate, "self"), f"candidate {candidate!r}")
        text = text_at(parse_attention(candidate, "self"))
        texts.append(text)
        refused = {kind: _refusal(kind, text, network) for kind in ROLES}
        kinds = dict.fromkeys(site_named(site)[0] for site in searched)
        reasons = {kind: reason for kind in kinds if (reason := refused[kind]) is not None}
        if len(reasons) == len(kinds):
            raise InputError(f"{text} fits no site that is searched: {next(iter(reasons.values()))}")
        for kind in reasons:
            left_out += [(site, text) for site in searched if site_named(site)[0] == kind]
    return Places(
        network=name,
        family=FAMILY,
        sites=tuple(
            Standing(site=site, channels=network.config.width, stage=site_named(site)[0], attention=attention)
            for site, attention in now.items()
        ),
        searched=tuple(searched),
        choices=tuple(Candidate(attention=text) for text in texts),
        left_out=tuple(left_out),
    )


def _searched(sites: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names of the sites that are searched, in the order of the network."""
    if sites is None:
        return list(known)
    chosen = set[str]()
    for given in sites:
        found = [site for site in known if site_named(site)[0] in SITES.get(given, ())]
        found += [site for site in known if site == given]
        if not found:
            raise unknown("attention of the Transformer", given, [*SITES, *known])
        chosen.update(found)
    return [site for site in known if site in chosen]


def left_out_at(space: Places) -> str:
    """Which candidates are left out at which attentions, in words; empty where all fit all."""
    kinds = dict[str, list[str]]()
    for site, name in space.left_out:
        kinds.setdefault(site_named(site)[0], []).append(name)
    return "; ".join(f"{', '.join(dict.fromkeys(names))} at {kind}" for kind, names in kinds.items())


def _refusal(kind: str, text: str, network: Transformer) -> str | None:
    """Why a candidate cannot stand at an attention; None if it can."""
    try:
        with torch.device("meta"):
            site_of(kind, 0, parse_attention(text, kind), network.config)
    except InputError as error:
        return str(error)
    return None
