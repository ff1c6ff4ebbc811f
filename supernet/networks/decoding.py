"""A Transformer as two graphs for other runtimes: what reads a sentence, and one step of writing another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from search_space.sequence import Cache, SequenceOperator
from supernet.networks.transformer import PAD, DecoderCache, Layer, Memory, Transformer

Names = tuple[tuple[int, str, str], ...]
"""Tensors of a cache in their order: number of the layer, name of the attention, name of the tensor."""


class Reading(nn.Module):
    """Source words (b, n) to padding (b, n) and the keys and values that each layer's attention to them has.

    Args:
        network: In eval mode.
    """

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network
        self.names = tensors_of(self._remembered(*_two_sentences(network)))

    def forward(self, source: Int64[Tensor, "b n"]) -> tuple[Tensor, ...]:
        padding = source == PAD
        return (padding, *flat(self._remembered(source, padding), self.names))

    def _remembered(self, source: Tensor, padding: Tensor) -> list[dict[str, Cache]]:
        memory = self.network.read(source, padding)
        caches: list[dict[str, Cache]] = []
        for layer in _layers(self.network):
            assert layer.cross_attention is not None, "a decoder reads a source"
            cache = Cache()
            layer.cross_attention(memory.words[:, :1], memory.words, padding, cache)
            caches.append({"cross": cache})
        return caches


class Writing(nn.Module):
    """The last word of each translation to the logarithms of the chances of the next one.

    Called with words (b, 1), how many stand before them (a number), the padding (b, n) of the source, the
    tensors of `Reading`, and those of the cache; gives logarithms (b, v) and the cache with the word.

    Args:
        network: In eval mode.
        read: Names of the tensors of `Reading`.
    """

    def __init__(self, network: Transformer, read: Names) -> None:
        super().__init__()
        self.network, self.read = network, read
        self.names = tensors_of(empty_caches(network, 1))

    def forward(
        self,
        words: Int64[Tensor, "b 1"],
        position: Int64[Tensor, ""],
        padding: Bool[Tensor, "b n"],
        caches: Sequence[Tensor],
    ) -> tuple[Float[Tensor, "b v"] | Tensor, ...]:
        layers: list[dict[str, Cache]] = [{} for _ in self.network.decoder]
        for (layer, attention, name), tensor in zip((*self.read, *self.names), caches, strict=True):
            layers[layer].setdefault(attention, {})[name] = tensor
        nowhere = torch.zeros(
            (), dtype=self.network.embedding.weight.dtype
        )  # keys and values are in the cache
        memory = Memory(nowhere, padding)
        features = self.network.decode(words, memory, DecoderCache(layers, position))
        chances = self.network.logits(features[:, -1]).log_softmax(-1)
        return (chances, *flat(layers, self.names))


def empty_caches(network: Transformer, batch: int) -> list[dict[str, Cache]]:
    """Caches of every layer of a decoder before the first word, without those of the source."""
    like = network.embedding.weight[:1].expand(batch, -1)[:, None]
    found = list[dict[str, Cache]]()
    for layer in _layers(network):
        units = {f"before{number}": unit for number, unit in enumerate(layer.before)}
        units |= {"self": layer.self_attention}
        found.append({name: cast(SequenceOperator, unit).empty_cache(like) for name, unit in units.items()})
    return found


def tensors_of(caches: Sequence[dict[str, Cache]]) -> Names:
    """The names of all tensors of caches, in their order."""
    return tuple(
        (layer, attention, name)
        for layer, own in enumerate(caches)
        for attention, cache in own.items()
        for name in cache
    )


def flat(caches: Sequence[dict[str, Cache]], names: Names) -> tuple[Tensor, ...]:
    """The tensors of caches by their names."""
    return tuple(caches[layer][attention][name] for layer, attention, name in names)


def _layers(network: Transformer) -> list[Layer]:
    return cast("list[Layer]", [*network.decoder])


def _two_sentences(network: Transformer) -> tuple[Tensor, Tensor]:
    source = torch.ones((2, 3), dtype=torch.int64, device=network.embedding.weight.device)
    return source, source == PAD
