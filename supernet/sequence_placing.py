"""What a Transformer has at its attentions: looked at, and replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from search_space.grammar import parse_attention
from search_space.placement import Placement
from search_space.sequence import Cache, SequenceOperator
from search_space.term import Term, label
from supernet.networks.transformer import Layer, Transformer
from supernet.sequence_sites import Site, named_terms, site_name, site_named, site_of


class SiteOperator(SequenceOperator):
    """All that stands at one attention as one operator: what changes its input, then what reads other words.

    Args:
        site: The operators.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.attention = site.attention
        self.units = nn.ModuleList(site.before)

    @property
    def site(self) -> Site:
        """The operators."""
        return Site(self.attention, cast("list[SequenceOperator]", list(self.units)))

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        assert cache is None, "what is searched or measured sees whole sequences"
        for unit in self.units:
            x = unit(x, None, padding)
        return self.attention(x, memory, padding)

    def macs_of(self, queries: int, keys: int) -> int:
        operators = cast("list[SequenceOperator]", [self.attention, *self.units])
        return sum(operator.macs_of(queries, keys) for operator in operators)


def new_site(network: Transformer, name: str, attention: str) -> Site:
    """New operators for a site of a Transformer, of the sizes that it has."""
    kind, layer = site_named(name)
    return site_of(kind, layer, parse_attention(attention, kind), network.config)


def place(network: Transformer, placement: Placement) -> Transformer:
    """Puts a placement of its sites into a Transformer, in place; what stands there already stays.

    Returns the network.
    """
    now = standing_at(network)
    parameter = next(network.parameters())
    for standing in placement.standings:
        if standing.attention != now[standing.site]:
            site = new_site(network, standing.site, standing.attention)
            for operator in (site.attention, *site.before):
                operator.to(device=parameter.device, dtype=parameter.dtype).train(network.training)
            put(network, standing.site, site)
    return network


def put(network: Transformer, name: str, site: Site) -> None:
    """Has operators stand at a site of a Transformer, in place."""
    kind, number = site_named(name)
    half, _, attention = kind.partition(".")
    layer = cast(Layer, getattr(network, half)[number])
    setattr(layer, f"{attention}_attention", site.attention)
    if attention == "self":
        layer.before = nn.ModuleList(site.before)


def operator_at(network: Transformer, name: str) -> SiteOperator:
    """What stands at a site of a Transformer."""
    kind, number = site_named(name)
    half, _, attention = kind.partition(".")
    layer = cast(Layer, getattr(network, half)[number])
    before = cast("list[SequenceOperator]", list(layer.before)) if attention == "self" else []
    return SiteOperator(Site(cast(SequenceOperator, getattr(layer, f"{attention}_attention")), before))


def standing_at(network: Transformer) -> dict[str, str]:
    """What a Transformer was built with at each of its sites, in the grammar and without the site."""
    named = named_terms(network.terms, network.config)
    return {site_name(*key): text_at(terms) for key, terms in named.items()}


def text_at(terms: Sequence[Term]) -> str:
    """Terms of one site, in the grammar, without the site."""
    return label(tuple(Term(**{**vars(term), "site": None}) for term in terms))
