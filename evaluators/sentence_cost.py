"""What a network that translates costs, counted in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from evaluators.cost import Cost, measure
from foundation.errors import InputError, unknown
from search_space.attention import Attention, as_terms
from supernet.networks.translator import TRANSFORMERS, TransformerConfig

if TYPE_CHECKING:
    from supernet.networks.transformer import Transformer


class OfLengths(nn.Module):
    """A network that translates, asked in the form of images: a map of n x m is a sentence of n tokens and
    its translation of m, whatever stands in it.
    """

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        b, _, n, m = images.shape
        words = torch.ones((), dtype=torch.int64, device=images.device)
        return self.network(words.expand(b, n), words.expand(b, m))

    def macs(self, shape: Sequence[int]) -> int:
        """Multiply-accumulates of a batch of such a shape."""
        return self.network.macs(shape)


def measure_sentences(
    network: str | TransformerConfig,
    attention: Attention = "none",
    *,
    tokens: tuple[int, int],
    num_words: int,
    latency: bool = True,
    activation: bool = True,
    repeats: int = 20,
) -> Cost:
    """Costs of translating one sentence, all words of its translation at once, as in training.

    Args:
        network: Name of a Transformer, or its settings.
        attention: What stands at its attentions.
        tokens: Of the sentence, and of its translation.
        num_words: Sub-words of the vocabulary.
        latency: Whether to time it.
        activation: Whether to measure its activation memory.
        repeats: Forward passes that are timed.

    Raises:
        InputError: If a name is unknown, or a term or number does not fit.
    """
    from supernet.networks.transformer import build_transformer

    if isinstance(network, str) and network not in TRANSFORMERS:
        raise unknown("network that translates", network, TRANSFORMERS)
    if min(tokens) < 1:
        raise InputError(f"{tokens[0]} tokens and {tokens[1]} of the translation; give at least 1 of each")
    config = TRANSFORMERS[network] if isinstance(network, str) else network
    with torch.random.fork_rng(devices=[]):
        model = OfLengths(build_transformer(config, num_words, as_terms(attention)))
    return measure(model, input_shape=(1, *tokens), latency=latency, activation=activation, repeats=repeats)
