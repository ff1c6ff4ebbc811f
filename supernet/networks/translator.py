"""Settings of networks that translate; this loads no PyTorch."""

from __future__ import annotations

from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError


@config
class TransformerConfig:
    """Settings of a Transformer.

    Source of the defaults: the base model of Vaswani et al., "Attention Is All You Need", NeurIPS 2017
    (arXiv:1706.03762), table 3.
    """

    encoder_layers: int = 6
    """Layers that read the source sentence; more see more and cost more."""
    decoder_layers: int = 6
    """Layers that write the translation; more say it better and cost more, most of all in beam search."""
    width: int = 512
    """Channels of every word, a multiple of the heads; wider learns more and costs more."""
    heads: int = 8
    """Heads of every attention, each with its share of the width; more look at more things, each with fewer
    channels."""
    hidden: int = 2048
    """Channels between the two maps of a feed-forward layer; more learn more and cost more."""
    dropout: float = 0.1
    """Probability with which a channel is dropped, after the embedding and every part of a layer; higher
    regularises more."""
    attention_dropout: float = 0.0
    """Probability with which a weight of attention is dropped; higher regularises more."""
    norm: Literal["post", "pre"] = "post"
    """Where layer norms stand: after each sum, as in the source (post), or before each part of a layer (pre),
    which trains deep networks and high learning rates more stably."""
    positions: Literal["absolute", "relative"] = "absolute"
    """What tells words their order: sines that are added to the embeddings (absolute), or the terms of the
    attention alone (relative), as in the study; then plain self-attention is refused, as it knows none."""
    tied: bool = True
    """Have one embedding for source, target and output, as in the source; otherwise the output has a map of
    its own."""

    def __post_init__(self) -> None:
        rules.positive(self, "encoder_layers", "decoder_layers", "width", "heads", "hidden")
        rules.below_one(self, "dropout", "attention_dropout")
        if self.width % self.heads:
            raise InputError(f"width={self.width} does not split into heads={self.heads} equal parts")
        if self.width % 2:
            raise InputError(f"width={self.width} is odd; positions are coded by pairs of channels")


TRANSFORMERS = {
    "transformer_base": TransformerConfig(),
    # For some ten thousand sentences, and for one thread: sizes of the tiny Transformer of Wu et al., "Good
    # for Misconceived Reasons", ACL 2021, for Multi30k; norms stand before each part, which is ours.
    "transformer_tiny": TransformerConfig(
        encoder_layers=4, decoder_layers=4, width=128, heads=4, hidden=256, dropout=0.3, norm="pre"
    ),
    # Ours: between the two.
    "transformer_small": TransformerConfig(
        encoder_layers=3, decoder_layers=3, width=256, heads=4, hidden=1024, norm="pre"
    ),
}
"""Transformers by name."""
