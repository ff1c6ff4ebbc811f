"""What every candidate costs at every attention of a Transformer, counted in tokens."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from evaluators.cost import params
from evaluators.cost_table import Metric
from evaluators.place_costs import PlaceTable
from evaluators.sentence_cost import OfLengths
from evaluators.used_latency import used_latencies
from search_space.places import Places
from search_space.sequence import Cache, SequenceOperator
from supernet.networks.transformer import Transformer
from supernet.sequence_placing import SiteOperator, new_site, operator_at, put
from supernet.sequence_sites import Site, site_named


class Nothing(SequenceOperator):
    """An attention that costs nothing: 0 everywhere."""

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        padding: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        return torch.zeros_like(x)

    def macs_of(self, queries: int, keys: int) -> int:
        return 0


class OfImages(nn.Module):
    """An operator on sequences asked in the form of images: a map of q x k is q elements that read k others.

    Args:
        operator: The operator.
        width: Channels of its elements.
        crosses: Whether the elements that it reads are those of another sequence.
    """

    def __init__(self, operator: SequenceOperator, width: int, *, crosses: bool) -> None:
        super().__init__()
        self.operator, self.width, self.crosses = operator, width, crosses

    def forward(self, images: Tensor) -> Tensor:
        b, _, queries, keys = images.shape
        one = images.new_ones(())
        memory = one.expand(b, keys, self.width) if self.crosses else None
        return self.operator(one.expand(b, queries, self.width), memory)


def sequence_table(
    metric: Metric, space: Places, network: nn.Module, input_shape: Sequence[int], device: torch.device
) -> PlaceTable:
    """Counts, or measures, what candidates cost at the attentions of a Transformer.

    Parameters and multiply-accumulates are exact. Latency is an estimate: the median time of each candidate
    alone, and of the network without the attentions that are searched; the plain network's is the sum of
    both. All words of a translation come at once, as in training.

    Args:
        metric: What is counted.
        space: The sites and candidates.
        network: The network with which a search begins; it stays as it is.
        input_shape: 1, the tokens of a sentence, and those of its translation.
        device: Where latency is measured.
    """
    network = cast(Transformer, copy.deepcopy(network))
    _, source, target = input_shape
    lengths = {"encoder.self": (source, source), "decoder.self": (target, target)}
    lengths["decoder.cross"] = target, source

    def built(key: tuple[str, str]) -> SiteOperator:
        kind, attention = key
        with torch.random.fork_rng(devices=[]):
            return SiteOperator(new_site(network, f"{kind}.1", attention))

    kind_of = {row: site_named(row)[0] for row in space.rows}
    standing = {site.site: site.attention for site in space.sites}
    keys = {(kind_of[row], name) for row in space.rows for name in space.names_at(row)}
    plain = {(kind_of[row], standing[row]) for row in space.rows}
    if metric == "latency":
        for row in space.rows:
            put(network, row, Site(Nothing()))
        alone = (
            (
                key,
                OfImages(built(key), network.config.width, crosses=key[0] == "decoder.cross"),
                (1, *lengths[key[0]]),
            )
            for key in sorted(keys | plain)
        )
        times = used_latencies([(None, OfLengths(network), tuple(input_shape)), *alone], device)
        emptied, costs = times.pop(None), times
    elif metric == "macs":
        costs = {key: float(built(key).macs_of(*lengths[key[0]])) for key in keys | plain}
        whole = float(network.macs((1, *input_shape)))
        emptied = whole - sum(costs[kind_of[row], standing[row]] for row in space.rows)
    else:
        costs = {key: float(params(built(key))) for key in keys | plain}
        own = sum(params(operator_at(network, row)) for row in space.rows)
        emptied = float(params(network) - own)
    return PlaceTable(
        plain=emptied + sum(costs[kind_of[row], standing[row]] for row in space.rows),
        sites={row: {name: costs[kind_of[row], name] for name in space.names_at(row)} for row in space.rows},
        emptied=emptied,
    )
