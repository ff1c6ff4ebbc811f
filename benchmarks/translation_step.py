r"""Times a training step of translation: plain against torch.nn.Transformer, operators against plain.

    python -m benchmarks.translation_step [--repeats 15] [--lengths 30 300] [--attentions ...] \
        [--json FILE.json] [--picture FILE.svg]

CPU seconds of steps that take turns, in one process and with one thread. A step is forward, cross-entropy and
backward at batch `tokens / length`. Prints the medians, and the median of the ratios pair by pair; writes
them into one file, and draws them over the length into the other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import alternate, median, surroundings
from search_space.grammar import parse_attention
from supernet.networks.transformer import build_transformer, sines
from supernet.networks.translator import TRANSFORMERS, TransformerConfig

WORDS = 4000
BESIDE = ("torch", "none")
"""What the others are compared with."""
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
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = replace(TRANSFORMERS[given.network], dropout=given.dropout, attention_dropout=given.dropout)
    networks: dict[str, nn.Module] = {"torch": Torch(config), "none": build_transformer(config, WORDS)}
    for text in given.attentions:
        networks[text] = build_transformer(config, WORDS, parse_attention(text))
    print(f"{given.network}, {given.tokens} tokens, dropout {given.dropout}, {given.repeats} repeats")
    lengths = dict[int, dict[str, dict[str, float]]]()
    for length in given.lengths:
        source, target = batch(given.tokens, length)
        runs: dict[str, Callable[[], object]] = {
            name: partial(step, network.train(), source, target) for name, network in networks.items()
        }
        lengths[length] = figures(alternate(runs, given.repeats))
        report(length, lengths[length])
    settings = {name: getattr(given, name) for name in ("network", "tokens", "dropout", "repeats")}
    if given.json:
        record = {"settings": settings, "surroundings": surroundings(), "lengths": lengths}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    if given.picture:
        draw(lengths, settings, given.picture)


def figures(seconds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Gives the median of each network's steps, and of its ratios to two others pair by pair."""
    return {
        name: {
            "milliseconds": median([1000 * second for second in own]),
            **{f"x {other}": median([a / b for a, b in zip(own, seconds[other])]) for other in BESIDE},
        }
        for name, own in seconds.items()
    }


def report(length: int, of_length: Mapping[str, Mapping[str, float]]) -> None:
    """Prints a row for each network."""
    print(f"length {length}")
    for name, own in of_length.items():
        ratios = "  ".join(f"{own[f'x {other}']:.2f} x {other}" for other in BESIDE)
        print(f"  {name:<32} {own['milliseconds']:8.1f} ms  {ratios}", flush=True)


def draw(
    lengths: Mapping[int, Mapping[str, Mapping[str, float]]], settings: Mapping[str, Any], path: Path
) -> None:
    """Draws the ratios to the plain network over the length."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "autola"  # the same bytes each time
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    names = next(iter(lengths.values()))
    for name in names:
        ratios = [of_length[name]["x none"] for of_length in lengths.values()]
        title = {"torch": "torch.nn.Transformer", "none": "plain attention"}.get(name, name)
        axes.plot(list(lengths), ratios, marker="o", markersize=3.5, label=title)
    axes.set_xlabel(f"words of a sentence ({settings['tokens']:,} words a batch)")
    axes.set_ylabel("training step, times plain")
    axes.set_title(f"{settings['network']}, dropout {settings['dropout']:g}, one CPU thread", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
