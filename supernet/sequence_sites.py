"""Where operators stand in a Transformer: what the grammar names, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from foundation.errors import InputError
from search_space.operator import OPERATORS
from search_space.sequence import PlainAttention, Role, SequenceOperator
from search_space.term import SITES, STAGES, Term, label
from supernet.networks.translator import TransformerConfig

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
    layers = {name: getattr(config, f"{name.partition('.')[0]}_layers") for name in ROLES}
    named = dict[tuple[str, int], list[Term]]()
    for term in terms:
        for name in _names(term):
            for layer in _layers(term, name, layers[name]):
                named.setdefault((name, layer), []).append(term)
    return {
        (name, layer): _site(name, layer, named.get((name, layer), []), config)
        for name, number in layers.items()
        for layer in range(number)
    }


def _names(term: Term) -> tuple[str, ...]:
    if term.site is None:
        text = label((term,))
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


def _site(name: str, layer: int, terms: list[Term], config: TransformerConfig) -> Site:
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
