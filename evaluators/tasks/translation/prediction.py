"""Lines translated by a trained network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from evaluators.evaluating import modes_kept
from evaluators.tasks.translation.beam import translate
from evaluators.tasks.translation.subwords import Subwords
from supernet.networks.transformer import Transformer

if TYPE_CHECKING:
    from evaluators.tasks.translation import Translation

log = logging.getLogger(__name__)


def translate_lines(
    config: Translation, network: nn.Module, vocabulary: str, lines: Sequence[str]
) -> list[str]:
    """Translations of lines; see `Translation.translate`.

    Args:
        config: Beam and length penalty.
        network: A trained network.
        vocabulary: Its sub-words, as data.json holds them.
        lines: Sentences.
    """
    subwords = Subwords.of_text(vocabulary, "the vocabulary in data.json")
    words = subwords.encode(lines)
    long = sum(len(sentence) > config.data.longest for sentence in words)
    if long:
        log.warning(
            "%d lines are longer than the %d sub-words that were trained on", long, config.data.longest
        )
    with modes_kept(network), torch.no_grad():
        found = translate(
            cast(Transformer, network.eval()),
            words,
            beam=config.beam,
            penalty=config.length_penalty,
        )
    return subwords.decode(found)
