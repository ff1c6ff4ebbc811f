"""Times a training step of translation: plain against torch.nn.Transformer, operators against plain.

    python -m benchmarks.translation_step [--repeats 15] [--lengths 30 300] [--attentions ...]

CPU seconds of steps that take turns, in one process and with one thread. A step is forward, cross-entropy and
backward at batch `tokens / length`. Prints the medians, and the median of the ratios pair by pair.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import alternate
from search_space.grammar import parse_attention
from supernet.networks.transformer import build_transformer, sines
from supernet.networks.translator import TRANSFORMERS, TransformerConfig

WORDS = 4000
ATTENTIONS = ("self=dynamic[kernel_size=7]", "self=dynamic[kernel_size=31]", "self=ga:1111", "self=ga:0010")


class Torch(nn.Module):
    """torch.nn.Transformer between the same embedding and output."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, config.width)
        self.network = nn.Transformer(
            config.width,
            config.heads,
            config.encoder_layers,
            config.decoder_layers,
            config.hidden,
            config.dropout,
            batch_first=True,
            norm_first=config.norm == "pre",
        )
        self.scale, self.width, self.drop = config.width**0.5, config.width, nn.Dropout(config.dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        padding = source == 0
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        features = self.network(
            self._embedded(source),
            self._embedded(target),
            tgt_mask=mask,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        return F.linear(features, self.embedding.weight)

    def _embedded(self, words: Tensor) -> Tensor:
        x = self.embedding(words) * self.scale
        return self.drop(x + sines(0, words.shape[1], self.width, x))


def step(network: nn.Module, source: Tensor, target: Tensor) -> None:
    """One step without the optimizer, which is the same for all."""
    network.zero_grad()
    F.cross_entropy(network(source, target).flatten(0, 1), target.flatten(), ignore_index=0).backward()


def batch(tokens: int, length: int) -> tuple[Tensor, Tensor]:
    """Sentences of three quarters of a length up to it, padded."""
    rows = max(1, tokens // length)
    random = torch.Generator().manual_seed(0)
    source, target = torch.randint(3, WORDS, (2, rows, length), generator=random).unbind(0)
    lengths = torch.randint(3 * length // 4, length + 1, (rows, 1), generator=random)
    return tuple(words.masked_fill(torch.arange(length) >= lengths, 0) for words in (source, target))  # pyright: ignore[reportReturnType]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="transformer_small", choices=TRANSFORMERS)
    parser.add_argument("--tokens", type=int, default=1800)
    parser.add_argument("--lengths", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--attentions", nargs="*", default=ATTENTIONS)
    parser.add_argument("--dropout", type=float, default=0.1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = replace(TRANSFORMERS[given.network], dropout=given.dropout, attention_dropout=given.dropout)
    networks: dict[str, nn.Module] = {"torch": Torch(config), "none": build_transformer(config, WORDS)}
    for text in given.attentions:
        networks[text] = build_transformer(config, WORDS, parse_attention(text))
    print(f"{given.network}, {given.tokens} tokens, dropout {given.dropout}, {given.repeats} repeats")
    for length in given.lengths:
        source, target = batch(given.tokens, length)
        runs: dict[str, Callable[[], object]] = {
            name: partial(step, network.train(), source, target) for name, network in networks.items()
        }
        report(length, alternate(runs, given.repeats))


def report(length: int, seconds: dict[str, list[float]]) -> None:
    """Prints a row for each network."""
    print(f"length {length}")
    for name, own in seconds.items():
        ratios = [f"{_ratio(own, seconds[other]):.2f} x {other}" for other in ("torch", "none")]
        print(f"  {name:<32} {1000 * statistics.median(own):8.1f} ms  {'  '.join(ratios)}")


def _ratio(own: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(own, other))


if __name__ == "__main__":
    main()
