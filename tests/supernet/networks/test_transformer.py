"""The Transformer: equal to torch's own, its cache, its attentions by name and layer, what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from evaluators.counting import macs, params
from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.operators.dynamic_sequence import DynamicSequenceConvolution
from search_space.operators.generalized_sequence import GeneralizedSequenceAttention
from search_space.sequence import PlainAttention
from search_space.term import label
from supernet.networks.transformer import PAD, Transformer, build_transformer, sines
from supernet.networks.translator import TRANSFORMERS, TransformerConfig

TINY = TransformerConfig(encoder_layers=2, decoder_layers=3, width=12, heads=3, hidden=20, dropout=0.0)
SOURCE = torch.tensor([[3, 7, 5, 2, 0], [4, 9, 10, 11, 2]])
TARGET = torch.tensor([[1, 6, 8], [1, 5, 0]])


def tiny(attention="none", **changes):
    torch.manual_seed(3)
    return build_transformer(replace(TINY, **changes), 13, parse_attention(attention)).double().eval()


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_plain_network_is_the_one_of_torch(norm):
    ours = tiny(norm=norm)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = nn.Transformer(
        12, 3, 2, 3, 20, 0.0, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    ).eval()
    for stack, others in ((ours.encoder, theirs.encoder.layers), (ours.decoder, theirs.decoder.layers)):
        for layer, other in zip(stack, others):
            take(layer, other)
    for name in ("encoder", "decoder"):
        final = getattr(ours, f"{name}_norm")
        if norm == "pre":
            getattr(theirs, name).norm.load_state_dict(final.state_dict())
        else:
            getattr(theirs, name).norm = None
    source, target = (
        ours.embedding(words) * 12**0.5 + sines(0, words.shape[1], 12, ours.embedding.weight)
        for words in (SOURCE, TARGET)
    )
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = SOURCE == PAD
    features = theirs(source, target, None, causal, None, padding, None, padding)
    expected = features @ ours.embedding.weight.T
    y = ours(SOURCE, TARGET)
    real = TARGET != PAD
    assert (y[real] - expected[real]).abs().max() <= 1e-10 * expected.abs().max()


def take(layer, other):
    """Gives a layer of torch's the weights of one of ours."""
    state = {
        "self_attn.in_proj_weight": layer.self_attention.project_in.weight,
        "self_attn.in_proj_bias": layer.self_attention.project_in.bias,
    }
    names = {
        "self_attn.out_proj": layer.self_attention.project,
        "linear1": layer.widen,
        "linear2": layer.narrow,
    }
    norms = [layer.self_norm, layer.feed_norm]
    if layer.cross_attention is not None:
        cross = layer.cross_attention
        for part in ("weight", "bias"):
            both = torch.cat((getattr(cross.query, part), getattr(cross.project_in, part)))
            state[f"multihead_attn.in_proj_{part}"] = both
        names["multihead_attn.out_proj"] = cross.project
        norms.insert(1, layer.cross_norm)
    names |= {f"norm{number}": module for number, module in enumerate(norms, 1)}
    state |= {f"{name}.{part}": getattr(m, part) for name, m in names.items() for part in ("weight", "bias")}
    other.load_state_dict(state)


NAMED = [
    "none",
    "self=ga:0110+decoder.cross=ga:1010",
    "encoder.self=dynamic[lightweight]+decoder.self=dynamic[kernel_size=4,stages=13]",
    "self=dcn+self=ga:0001[heads=2]",
]


@pytest.mark.parametrize("attention", NAMED)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_word_by_word_equals_all_at_once(attention, norm):
    network = tiny(attention, norm=norm)
    memory, cache = network.encode(SOURCE), network.new_cache()
    whole = network.decode(TARGET, memory)
    pieces = [network.decode(word, memory, cache) for word in TARGET.split(1, 1)]
    assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-12


@pytest.mark.parametrize("attention", NAMED)
def test_a_cache_goes_on_with_chosen_sentences(attention):
    network, rows = tiny(attention), torch.tensor([1, 1, 0])
    memory, cache = network.encode(SOURCE), network.new_cache()
    network.decode(TARGET[:, :2], memory, cache)
    cache.select(rows)
    last = network.decode(TARGET[rows, 2:], memory.select(rows), cache)
    whole = network.decode(TARGET[rows], network.encode(SOURCE[rows]))
    assert (last - whole[:, 2:]).abs().max() < 1e-12


@pytest.mark.parametrize("attention", NAMED)
def test_padding_changes_nothing(attention):
    network = tiny(attention)
    alone = network(SOURCE[:1, :4], TARGET[:1])
    beside = network(SOURCE, TARGET)[:1]
    assert (alone - beside).abs().max() < 1e-12


def test_what_is_named_stands_there():
    text = "decoder.self=dynamic[kernel_size=7,stages=13]+encoder.self=ga:0110[stages=2]+self=dcn[stages=1]"
    terms = parse_attention(text)
    assert label(terms) == text
    network: Any = build_transformer(TINY, 13, terms)
    kinds = [type(layer.self_attention) for layer in (*network.encoder, *network.decoder)]
    dynamic, ga = DynamicSequenceConvolution, GeneralizedSequenceAttention
    assert kinds == [PlainAttention, ga, dynamic, PlainAttention, dynamic]
    assert network.decoder[0].self_attention.kernel_size == 7
    assert network.decoder[0].self_attention.role == "causal"
    assert [len(layer.before) for layer in (*network.encoder, *network.decoder)] == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        ("ga:0110", "ga:0110 does not say which attention"),
        ("se", "`se` has no form on sequences"),
        ("decoder.self=ga+self=dynamic", "both stand for decoder.self of layer 1"),
        ("decoder.cross=ga:0100", "ga:0100 cannot stand between decoder and encoder"),
        ("encoder.self=ga[stages=3]", "the encoder has 2 layers"),
        ("self=ga[heads=5]", "does not divide 12 channels"),
    ],
)
def test_what_does_not_fit_is_named(attention, said):
    with pytest.raises(InputError, match=said):
        build_transformer(TINY, 13, parse_attention(attention))


def test_relative_positions_refuse_plain_attention():
    config = replace(TINY, positions="relative")
    with pytest.raises(InputError, match=r"decoder\.self of layer 1 is plain attention, which knows none"):
        build_transformer(config, 13, parse_attention("encoder.self=ga"))
    network = build_transformer(config, 13, parse_attention("self=ga:1111"))
    assert not torch.equal(network(SOURCE, TARGET), network(SOURCE.flip(1), TARGET))


@pytest.mark.parametrize("attention", NAMED)
@pytest.mark.parametrize("changes", [{}, {"tied": False, "norm": "pre"}])
def test_every_weight_learns(attention, changes):
    network = tiny(attention, **changes).train()
    network(SOURCE, TARGET).logsumexp(-1).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_macs_are_those_of_the_linear_maps_and_of_the_pairs():
    network, n, m = tiny(), 5, 3
    counted = 0

    def count(layer, inputs, output):
        nonlocal counted
        counted += output.numel() * layer.in_features

    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(count)
    network(SOURCE[1:], torch.tensor([[1, 6, 8]]))
    pairs = 2 * 12 * (2 * n * n + 3 * (m * m + n * m))
    assert macs(network, (1, n, m)) == counted + pairs + 13 * 12 * m


def test_the_base_model_has_the_size_of_the_paper():
    """Table 3 of the paper prints 65 million, with a vocabulary of about 37,000 of both languages."""
    with torch.device("meta"):
        network = Transformer(TRANSFORMERS["transformer_base"], 37000)
    assert params(network) == 63_082_496
