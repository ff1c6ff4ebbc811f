"""The Transformer whose attentions are searched: at each a mixture of what may stand there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from search_space.placement import Placement
from search_space.places import Places
from search_space.sequence import Cache, SequenceOperator
from search_space.state import add_all
from supernet.mixed import Mixing
from supernet.mixed_network import MixedNetwork, Mixture, uncounted
from supernet.networks.transformer import Transformer
from supernet.sequence_placing import SiteOperator, new_site, put
from supernet.sequence_sites import Site


class MixedAttention(Mixture, SequenceOperator):
    """sum over o of w_o o(x) over the candidates o of an attention, plain attention among them.

    Args:
        operators: The candidates by their column, without those that do not fit.
        *of_row: What a `Mixture` takes.
    """

    def __init__(self, operators: Mapping[int, SiteOperator], *of_row: Any) -> None:
        super().__init__(*of_row)
        self.operators = nn.ModuleDict({str(column): module for column, module in operators.items()})

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        weights, _, chosen = self.mixing_now()
        columns = list(self.operators) if chosen is None else [str(chosen)]
        return add_all(
            [weights[int(column)] * self.operators[column](x, memory, padding, cache) for column in columns]
        )


class SequenceSupernet(MixedNetwork):
    """A Transformer with a mixture of all candidates at every attention that is searched.

    Unlike on maps a mixture stands instead of what the network begins with: the candidates are its attention.
    The alphas rest in the first part of a search, too.

    Args:
        network: The network; it is changed in place.
        space: Its sites and candidates.
    """

    def __init__(self, network: Transformer, space: Places) -> None:
        super().__init__(network, space)

    def mixture(self, network: nn.Module, row: str, of_row: tuple[int, Mixing, Tensor]) -> MixedAttention:
        operators = {
            column: SiteOperator(new_site(cast(Transformer, network), row, self.space.primitives[column]))
            for column in self.space.columns_at(row)
        }
        mixed = MixedAttention(operators, *of_row)
        parameter = next(network.parameters())
        mixed.to(device=parameter.device, dtype=parameter.dtype).train(network.training)
        put(cast(Transformer, network), row, Site(mixed))
        return mixed

    def derived(self, genotype: Placement) -> Transformer:
        """The network with a placement, as a copy, with the weights that they have here."""
        network = cast(Transformer, uncounted(copy.deepcopy(self.network)))
        for site, attention in self.space.decided(genotype).items():
            operators = self.sites()[site].operators
            column = str(self.space.primitives.index(attention))
            put(network, site, cast(SiteOperator, copy.deepcopy(operators[column])).site)
        return network
