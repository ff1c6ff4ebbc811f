"""Beam search: many sentences at once, word by word from what the decoder keeps.

Source of the length penalty: Wu et al., "Google's Neural Machine Translation System", 2016
(arXiv:1609.08144), equation 14, without the coverage; the search is the usual one, in which a sentence is
done when as many of its hypotheses as the beam is wide have ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from evaluators.tasks.translation.sentences import groups, padded
from supernet.networks.transformer import END, PAD, START, Transformer


def penalty_of(length: int, power: float) -> float:
    """What the log-probability of a translation of a number of words, its end among them, is divided by."""
    return ((5 + length) / 6) ** power


def longest_of(words: int) -> int:
    """Most sub-words of the translation of a sentence of a number of sub-words, the end among them."""
    return 2 * words + 10


def translate(
    network: Transformer,
    sentences: Sequence[Sequence[int]],
    *,
    beam: int,
    penalty: float,
    tokens: int = 2000,
) -> list[list[int]]:
    """Translations of sentences, in their order; an empty one has an empty translation.

    Args:
        network: In eval mode.
        sentences: Sub-words without marks.
        beam: Hypotheses of each sentence that are kept.
        penalty: Power of the length that log-probabilities are divided by; 0 prefers short ones.
        tokens: Source tokens, times the beam, that are translated at once.
    """
    found: list[list[int]] = [[] for _ in sentences]
    filled = [index for index, words in enumerate(sentences) if words]
    device = network.embedding.weight.device
    for group in groups([len(sentences[index]) + 1 for index in filled], max(1, tokens // beam)):
        rows = [filled[index] for index in group]
        source = padded([[*sentences[row], END] for row in rows]).to(device)
        longest = [longest_of(len(sentences[row])) for row in rows]
        for row, words in zip(rows, beam_search(network, source, longest, beam=beam, penalty=penalty)):
            found[row] = words
    return found


def beam_search(
    network: Transformer,
    source: Int64[Tensor, "b n"],
    longest: Sequence[int],
    *,
    beam: int,
    penalty: float,
) -> list[list[int]]:
    """The best translation of each source, without marks.

    Args:
        network: In eval mode.
        source: Sentences with their ends, padded behind.
        longest: Most words of each translation, its end among them.
        beam: Hypotheses that are kept.
        penalty: Power of the length.
    """
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in longest]
    going = list(range(len(longest)))
    device = source.device
    memory, cache = network.encode(source), network.new_cache()
    memory = memory.select(torch.arange(len(going), device=device).repeat_interleave(beam))
    words = torch.full((len(going) * beam, 1), START, device=device)
    totals = torch.full((len(going), beam), -torch.inf, device=device)
    totals[:, 0] = 0.0  # at first all hypotheses are one
    for length in range(1, max(longest) + 1):
        features = network.decode(words[:, -1:], memory, cache)[:, -1]
        chances = network.logits(features)
        chances = chances.to(torch.promote_types(chances.dtype, torch.float32)).log_softmax(-1)
        chances[:, [PAD, START]] = -torch.inf
        last = torch.tensor([longest[sentence] <= length for sentence in going], device=device)
        if bool(last.any()):  # they have to end
            others = torch.arange(chances.shape[1], device=device) != END
            chances.masked_fill_(last.repeat_interleave(beam)[:, None] & others, -torch.inf)
        sums = (totals[..., None] + chances.unflatten(0, (len(going), beam))).flatten(1)
        best, places = sums.topk(min(2 * beam, sums.shape[1]), 1)
        origin, word = places // chances.shape[1], places % chances.shape[1]
        ends = word == END
        _keep_ended(ended, going, words, best, origin, ends, beam, penalty_of(length, penalty))
        # Those that go on: the best ones that did not end, in their order.
        chosen = ends.int().argsort(dim=1, stable=True)[:, :beam]
        totals = best.masked_fill(ends, -torch.inf).gather(1, chosen)
        left = [
            row
            for row, sentence in enumerate(going)
            if len(ended[sentence]) < beam and length < longest[sentence]
        ]
        if not left:
            break
        kept = torch.tensor(left, device=device)
        origin, word = origin.gather(1, chosen)[kept], word.gather(1, chosen)[kept]
        rows = (kept[:, None] * beam + origin).flatten()
        words = torch.cat((words[rows], word.flatten()[:, None]), 1)
        same = len(left) == len(going)
        cache.select(rows, same_sources=same)
        memory = memory if same else memory.select(rows)
        totals, going = totals[kept], [going[row] for row in left]
    return [max(hypotheses, key=lambda one: one[0])[1] for hypotheses in ended]


def _keep_ended(
    ended: list[list[tuple[float, list[int]]]],
    going: Sequence[int],
    words: Tensor,
    best: Tensor,
    origin: Tensor,
    ends: Tensor,
    beam: int,
    divisor: float,
) -> None:
    """Keeps the hypotheses that end now and are among the best of their sentence."""
    counts = ends[:, :beam] & best[:, :beam].isfinite()
    for row, place in counts.nonzero().tolist():
        hypotheses = ended[going[row]]
        if len(hypotheses) < beam:
            written = words[row * beam + int(origin[row, place]), 1:].tolist()
            hypotheses.append((float(best[row, place]) / divisor, written))
