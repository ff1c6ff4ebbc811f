"""Where operators stand in a Transformer: what the grammar names, layer by layer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from foundation.errors import InputError
from search_space.grammar import standing_terms
from search_space.operator import OPERATORS
from search_space.placement import Placement, Standing
from search_space.sequence import PlainAttention, Role, SequenceOperator
from search_space.term import SITES, STAGES, Term, attention_of, label
from supernet.carrying import nearest, shown_way
from supernet.networks.translator import TransformerConfig

log = logging.getLogger(__name__)

FAMILY = "supernet.networks.transformer"
"""Python module of the layers, by which placements know the networks that take each other's."""

ROLES: dict[str, Role] = {"encoder.self": "self", "decoder.self": "causal", "decoder.cross": "cross"}
"""What each attention of a Transformer reads."""


@dataclass
class Site:
    """What stands at one attention of one layer.

    Attributes:
        attention: What reads other words.
        before: What changes its input, in this order.
    """

    attention: SequenceOperator
    before: list[SequenceOperator] = field(default_factory=list)


def standing(terms: Sequence[Term], config: TransformerConfig) -> dict[tuple[str, int], Site]:
    """What stands where, by the name of the attention and the number of the layer, from 0.

    Raises:
        InputError: If a term names no attention of a Transformer or a layer that is not there, two stand in
            one place, or an operator cannot be built there.
    """
    return {
        (name, layer): site_of(name, layer, own, config)
        for (name, layer), own in named_terms(terms, config).items()
    }


def named_terms(terms: Sequence[Term], config: TransformerConfig) -> dict[tuple[str, int], list[Term]]:
    """The terms that stand at each attention of each layer, none at all where it is plain; see `standing`.

    Raises:
        InputError: If a term names no attention of a Transformer or a layer that is not there.
    """
    layers = {name: getattr(config, f"{name.partition('.')[0]}_layers") for name in ROLES}
    named = {(name, layer): list[Term]() for name, number in layers.items() for layer in range(number)}
    for term in terms:
        if term.placement is not None:
            for standing in carried_to_layers(term.placement, layers).taken():
                name, layer = site_named(standing.site)
                named[name, layer] += standing_terms(standing)
            continue
        for name in _names(term):
            for layer in _layers(term, name, layers[name]):
                named[name, layer].append(term)
    return named


def site_name(name: str, layer: int) -> str:
    """What a placement calls an attention of a layer, counted from 0: decoder.self.2 is of the second."""
    return f"{name}.{layer + 1}"


def site_named(site: str) -> tuple[str, int]:
    """The attention and the layer, from 0, that a placement calls so."""
    name, _, layer = site.rpartition(".")
    return name, int(layer) - 1


def carried_to_layers(placement: Placement, layers: Mapping[str, int]) -> Placement:
    """A placement at the layers of another Transformer: each takes what stands at the same relative depth.

    What went where is logged, unless the layers are as many.

    Args:
        placement: Of some Transformer.
        layers: How many layers have each attention here.

    Raises:
        InputError: If it is of a network of another kind.
    """
    if placement.family != FAMILY:
        raise InputError(
            f"the placement is of {placement.network}, whose sites are modules with maps; a network that "
            "translates takes those that were searched in one"
        )
    for each in placement.standings:
        if each.stage not in layers or attention_of(each.site) != each.stage:
            raise InputError(
                f"the placement names the site {each.site!r} of {each.stage or 'no attention'}; those of a "
                f"Transformer are its layers, as decoder.self.2 of decoder.self: {', '.join(layers)}"
            )
    standings, went, stages = list[Standing](), dict[str, list[str]](), placement.stages
    for name, number in layers.items():
        before = stages.get(name, [])
        for layer in range(number):
            site = site_name(name, layer)
            source = nearest(before, layer, number) if before else Standing(site=site, channels=1)
            standings.append(replace(source, site=site, stage=name))
            went.setdefault(source.site, []).append(site)
    after = replace(placement, standings=tuple(standings))
    if [len(stages.get(name, ())) for name in layers] != list(layers.values()):
        here = replace(after, network=f"{layers['encoder.self']}+{layers['decoder.self']} layers")
        log.warning("%s", shown_way(placement, here, went))
    return after


def _names(term: Term) -> tuple[str, ...]:
    if term.site is None:
        text = label((term,))
        if term.name not in OPERATORS.sequences:
            known = ", ".join(OPERATORS.sequences)
            raise InputError(f"`{term.name}` has no form on sequences; those that have: {known}")
        raise InputError(
            f"{text} does not say which attention of the Transformer it stands for; "
            f"give one of {', '.join(SITES)}: self={text}"
        )
    return SITES[term.site]


def _layers(term: Term, name: str, number: int) -> list[int]:
    if term.stages is None:
        return list(range(number))
    chosen = [int(digit) - 1 for digit in term.stages]
    if chosen[-1] >= number:
        half = name.partition(".")[0]
        raise InputError(f"{label((term,))}: the {half} has {number} layers; name them 1 to {number}")
    return chosen


def site_of(name: str, layer: int, terms: Sequence[Term], config: TransformerConfig) -> Site:
    """New operators of an attention of a layer, from 0; see `standing`."""
    built = [(term, _built(term, name, config)) for term in terms]
    instead = [(term, operator) for term, operator in built if not operator.before]
    if len(instead) > 1:
        both = " and ".join(label((term,)) for term, _ in instead[:2])
        raise InputError(f"{both} both stand for {name} of layer {layer + 1}; choose one of them")
    if not instead and config.positions == "relative" and name != "decoder.cross":
        raise InputError(
            f"positions=relative, but {name} of layer {layer + 1} is plain attention, which knows none; "
            f"name what stands there, as {name}=ga:1111, or choose positions=absolute"
        )
    if instead:
        attention = instead[0][1]
    else:
        heads, dropout = config.heads, config.attention_dropout
        attention = PlainAttention(config.width, ROLES[name], heads=heads, dropout=dropout)
    return Site(attention, [operator for _, operator in built if operator.before])


def _built(term: Term, name: str, config: TransformerConfig) -> SequenceOperator:
    recipe = OPERATORS.sequences[term.name]
    usual = {"heads": config.heads, "dropout": config.attention_dropout}
    options: dict[str, Any] = {key: value for key, value in usual.items() if key in recipe.known_options}
    options |= {key: value for key, value in term.options if key != STAGES}
    if term.argument is not None:
        options["argument"] = term.argument
    return cast(SequenceOperator, recipe.build_as(config.width, ROLES[name], **options))
