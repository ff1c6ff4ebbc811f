"""The Transformer, with what the grammar names in place of its attentions.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017 (arXiv:1706.03762); with relative positions
and other operators as in Zhu et al., ICCV 2019 (arXiv:1904.05873).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.sequence import Cache, SequenceOperator
from search_space.term import Term
from supernet.networks.translator import TransformerConfig
from supernet.sequence_sites import Site, standing

PAD, START, END = 0, 1, 2
"""Numbers of what is no word: nothing at all, the start of a translation, the end of a sentence."""

WAVE_LENGTH = 10000.0


@dataclass
class DecoderCache:
    """What a decoder keeps of the words that it has written: for every layer, a cache of each attention."""

    layers: list[dict[str, Cache]]
    length: int | Int64[Tensor, ""] = 0
    """Words that it has written; a tensor in a graph that is made once for all of them."""

    def select(self, rows: Int64[Tensor, "r"], *, same_sources: bool = False) -> None:
        """Goes on with some of the translations, or with some of them more than once.

        Args:
            rows: Their numbers.
            same_sources: Whether each row goes on with the source that it had, so that those stay.
        """
        for caches in self.layers:
            for name, cache in caches.items():
                if name == "cross" and same_sources:
                    continue
                for key, tensor in cache.items():
                    cache[key] = tensor.index_select(0, rows)


@dataclass(frozen=True, eq=False)
class Memory:
    """What an encoder has made of the source sentences."""

    words: Float[Tensor, "b k c"]
    padding: Bool[Tensor, "b k"] | None
    """True where there is no word; None where there is one everywhere."""

    def select(self, rows: Int64[Tensor, "r"]) -> Memory:
        """Some of the sentences."""
        padding = None if self.padding is None else self.padding.index_select(0, rows)
        return Memory(self.words.index_select(0, rows), padding)


class Layer(nn.Module):
    """A layer of an encoder or decoder: self-attention, attention to the source, feed-forward.

    Args:
        config: Settings of the network.
        own: What stands at the self-attention.
        cross: What stands at the attention to the source; None in an encoder.
    """

    def __init__(self, config: TransformerConfig, own: Site, cross: Site | None) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.self_attention = own.attention
        self.before = nn.ModuleList(own.before)
        self.self_norm = nn.LayerNorm(config.width)
        self.cross_attention = None if cross is None else cross.attention
        if cross is not None:
            self.cross_norm = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.width)
        for linear in (self.widen, self.narrow):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.feed_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        padding: Bool[Tensor, "b q"] | None,
        memory: Memory | None = None,
        caches: dict[str, Cache] | None = None,
    ) -> Float[Tensor, "b q c"]:
        y = self.self_norm(x) if self.pre else x
        for number, unit in enumerate(self.before):
            y = unit(y, None, padding, _cache(caches, f"before{number}"))
        x = self._add(x, self.self_attention(y, None, padding, _cache(caches, "self")), self.self_norm)
        if self.cross_attention is not None:
            assert memory is not None, "a decoder reads a source"
            y = self.cross_norm(x) if self.pre else x
            y = self.cross_attention(y, memory.words, memory.padding, _cache(caches, "cross"))
            x = self._add(x, y, self.cross_norm)
        y = self.feed_norm(x) if self.pre else x
        y = self.narrow(self.dropout(F.relu(self.widen(y))))
        return self._add(x, y, self.feed_norm)

    def _add(self, x: Tensor, y: Tensor, norm: nn.Module) -> Tensor:
        x = x + self.dropout(y)
        return x if self.pre else norm(x)

    def macs_of(self, queries: int, keys: int) -> int:
        """Multiply-accumulates of one sentence of a number of words, whose source has another."""
        units = cast("list[SequenceOperator]", [self.self_attention, *self.before])
        own = sum(unit.macs_of(queries, queries) for unit in units)
        cross = 0 if self.cross_attention is None else self.cross_attention.macs_of(queries, keys)
        return own + cross + 2 * queries * self.widen.weight.numel()


class Transformer(nn.Module):
    """Source words (b, n) and those of the translation so far (b, m) to logits of each next word (b, m, v).

    Words are numbers below v; `PAD` stands after the last word of a sentence that is shorter than others.

    Args:
        config: Settings.
        num_words: Number v of words, `PAD`, `START` and `END` among them.
        terms: What stands at its attentions; plain attention where nothing is named.
        vocabulary: A digest of the vocabulary that gives words their numbers, which goes with the weights:
            those of another one are refused. None for no such check.

    Raises:
        InputError: If a term does not fit.
    """

    def __init__(
        self,
        config: TransformerConfig,
        num_words: int,
        terms: Sequence[Term] = (),
        vocabulary: bytes | None = None,
    ) -> None:
        super().__init__()
        self.config, self.terms = config, tuple(terms)
        if vocabulary is not None:
            self.vocabulary: Tensor
            self.register_buffer("vocabulary", torch.tensor(list(vocabulary), dtype=torch.uint8))
            self.register_load_state_dict_pre_hook(_check_vocabulary)
        sites = standing(terms, config)
        self.embedding = nn.Embedding(num_words, config.width)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.output = None if config.tied else nn.Linear(config.width, num_words, bias=False)
        if self.output is not None:
            nn.init.xavier_uniform_(self.output.weight)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(
            Layer(config, sites["encoder.self", layer], None) for layer in range(config.encoder_layers)
        )
        self.decoder = nn.ModuleList(
            Layer(config, sites["decoder.self", layer], sites["decoder.cross", layer])
            for layer in range(config.decoder_layers)
        )
        final = [nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity() for _ in range(2)]
        self.encoder_norm, self.decoder_norm = final

    def forward(self, source: Int64[Tensor, "b n"], target: Int64[Tensor, "b m"]) -> Float[Tensor, "b m v"]:
        return self.logits(self.decode(target, self.encode(source)))

    def encode(self, source: Int64[Tensor, "b n"]) -> Memory:
        """Reads the source sentences."""
        padding: Tensor | None = source == PAD
        if source.device.type == "cpu" and not bool(padding.any()):  # elsewhere that would wait
            padding = None
        return self.read(source, padding)

    def read(self, source: Int64[Tensor, "b n"], padding: Bool[Tensor, "b n"] | None) -> Memory:
        """Reads the source sentences; padding is True where there is no word, None if one is everywhere."""
        x = self._embedded(source, 0)
        for layer in self.encoder:
            x = layer(x, padding)
        return Memory(self.encoder_norm(x), padding)

    def decode(
        self, target: Int64[Tensor, "b m"], memory: Memory, cache: DecoderCache | None = None
    ) -> Float[Tensor, "b m c"]:
        """Features of the words that follow those given.

        Padding follows the words, so that no word reads it. With a cache, the words follow those of the
        calls before.
        """
        x = self._embedded(target, 0 if cache is None else cache.length)
        for number, layer in enumerate(self.decoder):
            x = layer(x, None, memory, None if cache is None else cache.layers[number])
        if cache is not None:
            cache.length += target.shape[1]
        return self.decoder_norm(x)

    def logits(self, features: Float[Tensor, "... c"]) -> Float[Tensor, "... v"]:
        """Logits of every word."""
        weight = self.embedding.weight if self.output is None else self.output.weight
        return F.linear(features, weight)

    def new_cache(self) -> DecoderCache:
        """A cache for translations of which no word is written."""
        return DecoderCache([{} for _ in self.decoder])

    def _embedded(
        self, words: Int64[Tensor, "b n"], first: int | Int64[Tensor, ""]
    ) -> Float[Tensor, "b n c"]:
        x = self.embedding(words) * math.sqrt(self.config.width)
        if self.config.positions == "absolute":
            x = x + sines(first, words.shape[1], self.config.width, x)
        return self.dropout(x)

    def macs(self, shape: Sequence[int]) -> int:
        """Multiply-accumulates of sentences (b, 1, words of the source, words of the translation)."""
        b, _, source, target = shape
        layers = cast("list[Layer]", [*self.encoder]), cast("list[Layer]", [*self.decoder])
        total = sum(layer.macs_of(source, source) for layer in layers[0])
        total += sum(layer.macs_of(target, source) for layer in layers[1])
        return b * (total + target * self.embedding.weight.numel())


def sines(first: int | Int64[Tensor, ""], number: int, width: int, like: Tensor) -> Float[Tensor, "n c"]:
    """Sines, then cosines, of positions; in the source they alternate, which is another order of channels."""
    precise = torch.promote_types(torch.float32, like.dtype)
    power = torch.arange(width // 2, device=like.device, dtype=precise) / (width // 2)
    places = first + torch.arange(number, device=like.device, dtype=precise)
    angle = places[:, None] / WAVE_LENGTH**power
    return torch.cat((angle.sin(), angle.cos()), 1).to(like.dtype)


def build_transformer(
    config: TransformerConfig, num_words: int, terms: Sequence[Term] = (), vocabulary: bytes | None = None
) -> Transformer:
    """A new network that translates; see `Transformer`.

    Raises:
        InputError: If a term does not fit.
    """
    if num_words <= END + 1:
        raise InputError(f"a vocabulary of {num_words} words has none but marks; give more")
    return Transformer(config, num_words, terms, vocabulary)


def _check_vocabulary(network: nn.Module, weights: Mapping[str, Tensor], prefix: str, *rest: object) -> None:
    """Refuses weights that were trained with words of other numbers."""
    given, own = weights.get(f"{prefix}vocabulary"), cast(Transformer, network).vocabulary
    if given is not None and own.device.type != "meta" and not torch.equal(given.cpu(), own.cpu()):
        raise InputError(
            "the weights were trained with another vocabulary, so their words are others; "
            "use the sub-words of that run (data.subwords), or start without its weights"
        )


def _cache(caches: dict[str, Cache] | None, name: str) -> Cache | None:
    return None if caches is None else caches.setdefault(name, {})
