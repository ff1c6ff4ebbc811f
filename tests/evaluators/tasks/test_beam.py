"""Beam search against every translation there is, in groups and alone, and its ends."""

from __future__ import annotations

import itertools

import pytest
import torch

from evaluators.tasks.translation import beam as searched
from evaluators.tasks.translation.beam import beam_search, longest_of, penalty_of, translate
from evaluators.tasks.translation.sentences import padded
from search_space.grammar import parse_attention
from supernet.networks.transformer import END, PAD, START, build_transformer
from supernet.networks.translator import TransformerConfig

TINY = TransformerConfig(encoder_layers=1, decoder_layers=2, width=12, heads=3, hidden=20, dropout=0.0)


def tiny(seed=0, attention="none", words=6, sharp=3.0):
    torch.manual_seed(seed)
    network = build_transformer(TINY, words, parse_attention(attention)).double().eval()
    with torch.no_grad():
        network.embedding.weight.mul_(sharp)
    return network


def chance(network, source, words):
    """Log-probability of a translation with its end, of the network's own forward pass."""
    logits = network(source, torch.tensor([[START, *words]]))[0].log_softmax(-1)
    return sum(float(logits[place, word]) for place, word in enumerate([*words, END]))


@pytest.mark.parametrize(("seed", "penalty"), [(0, 0.0), (1, 0.6), (2, 0.6), (3, 2.0)])
def test_a_wide_beam_finds_the_best_of_all_translations(seed, penalty):
    network, source, longest = tiny(seed), torch.tensor([[3, 5, 4, END]]), 3
    every = [words for n in range(longest) for words in itertools.product((END + 1, 4, 5), repeat=n)]
    with torch.no_grad():
        best = max(every, key=lambda w: chance(network, source, w) / penalty_of(len(w) + 1, penalty))
        found = beam_search(network, source, [longest], beam=27, penalty=penalty)
    assert found == [list(best)]


def test_one_hypothesis_takes_the_likeliest_word_each_time():
    for seed in range(5):
        network, source = tiny(seed, words=11), torch.tensor([[3, 7, 4, END]])
        words = []
        with torch.no_grad():
            while len(words) < 9:
                logits = network(source, torch.tensor([[START, *words]]))[0, -1]
                logits[[PAD, START]] = -torch.inf
                word = int(logits.argmax())
                if word == END:
                    break
                words.append(word)
            found = beam_search(network, source, [10], beam=1, penalty=0.6)
        assert found == [words]


@pytest.mark.parametrize("attention", ["none", "self=ga:0110", "self=dynamic+encoder.self=dcn"])
@pytest.mark.parametrize("beam", [1, 3])
def test_many_at_once_are_translated_as_each_alone(attention, beam):
    network = tiny(1, attention, words=11)
    random = torch.Generator().manual_seed(2)
    sentences = [torch.randint(3, 11, (n,), generator=random).tolist() for n in (1, 7, 3, 3, 12, 0, 2)]
    with torch.no_grad():
        whole = translate(network, sentences, beam=beam, penalty=0.6, tokens=40)
        once = translate(network, sentences, beam=beam, penalty=0.6, tokens=10**6)
        alone = [
            beam_search(network, padded([[*words, END]]), [longest_of(len(words))], beam=beam, penalty=0.6)[0]
            if words
            else []
            for words in sentences
        ]
    assert whole == once == alone
    assert whole[5] == []
    assert not {PAD, START, END} & {word for words in whole for word in words}


def test_every_translation_ends(monkeypatch):
    network = tiny(words=7)
    with torch.no_grad():
        network.embedding.weight[END] = -10 * network.embedding.weight[3]  # hardly ever likely
        found = beam_search(network, torch.tensor([[3, 4, END], [4, END, PAD]]), [6, 3], beam=2, penalty=1.0)
    assert [len(words) <= most - 1 for words, most in zip(found, (6, 3))] == [True, True]
    monkeypatch.setattr(searched, "longest_of", lambda words: 1)
    with torch.no_grad():
        assert translate(network, [[3, 4]], beam=2, penalty=0.6) == [[]]
