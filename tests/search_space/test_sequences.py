"""Operators on sequences against literal loops; what is padded, later or not yet there; their memory."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from foundation.errors import InputError
from search_space.operator import OPERATORS
from search_space.sequence import PlainAttention, joined, normalised, split_heads
from tests.search_space.literal_sequences import literal

BITS = [f"{number:04b}" for number in range(16)]
SELF = [*(("ga", {"argument": bits}) for bits in BITS), ("dynamic", {}), ("dynamic", {"gate": False})]
SELF += [
    ("dynamic", {"form": "lightweight", "kernel_size": 3}),
    ("dynamic", {"kernel_size": 37}),
    ("dcn", {}),
]
SELF += [("dcn", {"groups": 2, "kernel_size": 5}), ("plain", {})]
CASES = [(name, role, options) for role in ("self", "causal") for name, options in SELF]
CASES += [("ga", "cross", {"argument": bits}) for bits in ("1000", "0010", "1010")] + [("plain", "cross", {})]
CHANNELS, HEADS = 12, 3


def build(name, role, options):
    torch.manual_seed(7)
    if name == "plain":
        module: nn.Module = PlainAttention(CHANNELS, role, heads=HEADS)
    else:
        heads = {} if name == "dcn" else {"heads": HEADS}
        module = OPERATORS.sequences[name].build_as(CHANNELS, role, **heads, **options)
    module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def ids(case):
    name, role, options = case
    return f"{name}-{role}-{'-'.join(map(str, options.values()))}"


def words(*shape, seed=0):
    return torch.randn(*shape, CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def padded(lengths, longest):
    return torch.arange(longest) >= torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("case", CASES, ids=ids)
@pytest.mark.parametrize("lengths", [[7], [7, 3, 1], [1]], ids=str)
def test_equals_a_literal_loop(case, lengths):
    name, role, _ = case
    module, longest = build(*case), max(lengths)
    x = words(len(lengths), 5 if role == "cross" else longest)
    memory = words(len(lengths), longest, seed=1) if role == "cross" else None
    padding = padded(lengths, longest) if len(lengths) > 1 else None
    y = module(x, memory, padding)
    for b, length in enumerate(lengths):
        own = x[b] if role == "cross" else x[b, :length]
        other = memory[b, :length] if memory is not None else own
        with torch.no_grad():
            expected = literal(name, module, role, own, other)
        error = (y[b, : len(own)] - expected).abs().max() / expected.abs().max().clamp(min=1e-300)
        assert error < 1e-10
    assert y.isfinite().all()


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_padding_may_stand_anywhere_and_is_never_read(case):
    _, role, _ = case
    module = build(*case)
    x, memory = words(2, 9), words(2, 9, seed=1) if role == "cross" else None
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[0, :2] = padding[0, 5] = padding[1, 6:] = True  # the first rows of a causal one see nothing
    y = module(x, memory, padding)
    other = torch.where(padding[..., None], 1e3, x if memory is None else memory)
    again = module(other, None, padding) if memory is None else module(x, other, padding)
    kept = torch.ones_like(padding) if role == "cross" else ~padding
    assert torch.equal(y[kept], again[kept])
    assert y.isfinite().all()
    if parameters := list(module.parameters()):
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(y.sum(), parameters))


CAUSAL = [case for case in CASES if case[1] == "causal"]


@pytest.mark.parametrize("case", CAUSAL, ids=ids)
def test_no_output_depends_on_a_later_input(case):
    module, x = build(*case), words(1, 7).requires_grad_()
    for q in range(7):
        y = module(x)[0, q].sum()
        if not y.requires_grad:  # ga:0000 adds nothing
            continue
        assert (torch.autograd.grad(y, x)[0][0, q + 1 :] == 0).all()
        with sdpa_kernel(SDPBackend.MATH):  # fused kernels have no second derivative
            y = module(x)[0, q].pow(2).sum()
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        assert (slope[0, q + 1 :] == 0).all()
        if slope.requires_grad:  # not even how it depends on what was
            (bend,) = torch.autograd.grad(slope.pow(2).sum(), x, allow_unused=True)
            assert bend is None or (bend[0, q + 1 :] == 0).all()


@pytest.mark.parametrize("case", CAUSAL, ids=ids)
@pytest.mark.parametrize("parts", [[1] * 7, [3, 1, 3], [7]], ids=str)
def test_a_few_elements_at_a_time_equal_all_at_once(case, parts):
    module, x, cache = build(*case), words(2, 7), {}
    pieces = [module(part, cache=cache) for part in x.split(parts, 1)]
    whole = module(x)
    assert (torch.cat(pieces, 1) - whole).abs().max() <= 1e-12 * whole.abs().max().clamp(min=1)
    for tensor in cache.values():  # hypotheses are chosen along the first axis
        assert tensor.shape[0] == 2


@pytest.mark.parametrize("case", [case for case in CASES if case[1] == "cross"], ids=ids)
def test_another_sequence_is_looked_at_once(case):
    module, x, memory, cache = build(*case), words(2, 4), words(2, 5, seed=1), {}
    padding = padded([5, 2], 5)
    whole = module(x, memory, padding)
    pieces = [
        module(part, memory if not number else torch.full_like(memory, math.nan), padding, cache)
        for number, part in enumerate(x.split(1, 1))
    ]
    assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-12


@pytest.mark.parametrize("bits", BITS)
def test_terms_of_position_are_refused_toward_another_sequence(bits):
    if bits in ("1000", "0010", "1010"):
        return
    with pytest.raises(InputError, match=f"ga:{bits} cannot stand between decoder and encoder") as caught:
        OPERATORS.sequences["ga"].build_as(12, "cross", argument=bits)
    for number, name in ((1, "query content and position"), (3, " position")):
        assert (f"no {name.strip()}" in str(caught.value)) == (bits[number] == "1")


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_look_says_what_the_call_computes(case):
    name, role, options = case
    module: Any = build(*case).eval()
    x, memory = words(2, 7), words(2, 5, seed=1) if role == "cross" else None
    padding = padded([7, 4], 7) if memory is None else padded([5, 2], 5)
    look = module.look(x, memory, padding)
    if name == "dcn" or options.get("argument") == "0000":
        assert look is None
        return
    if name == "plain":
        value = module._split(module.project_in(x if memory is None else memory))[-1]
    elif name == "ga":
        value = module._keys_and_values(x if memory is None else memory)[1]
    else:
        value = split_heads(module._gated(x, padding), HEADS)
    y, expected = module.project(joined(look.weights @ value)), module(x, memory, padding)
    error = (y - expected)[~padding if memory is None else slice(None)].abs().max()
    assert error <= 1e-12 * expected.abs().max()
    assert len(look.terms) == options.get("argument", "1" if name == "plain" else "").count("1")
    if look.terms:
        energy: Any = sum(look.terms.values())
        again = normalised(energy, role, padding)
        assert torch.equal(again, look.weights)


@pytest.mark.parametrize("case", CAUSAL, ids=ids)
def test_an_empty_cache_in_full_is_an_empty_cache(case):
    module: Any = build(*case)
    x, cache = words(2, 5), {}
    full = module.empty_cache(x)
    for part in x.split(1, 1):
        y, same = module(part, cache=cache), module(part, cache=full)
        assert (y - same).abs().max() <= 1e-12 * y.abs().max().clamp(min=1)
        assert cache.keys() == full.keys()


@pytest.mark.parametrize("name", ["dynamic", "dcn"])
def test_neighbours_are_of_one_sequence(name):
    with pytest.raises(InputError, match=f"{name} cannot stand between decoder and encoder"):
        OPERATORS.sequences[name].build_as(12, "cross")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ga", {"argument": "012"}, "has no such terms"),
        ("ga", {"heads": 5}, "does not divide 12 channels"),
        ("dynamic", {"kernel_size": 4}, "has no middle"),
        ("dynamic", {"form": "heavy"}, "form"),
        ("dynamic", {"drop_weights": 1.0}, "drop_weights"),
        ("dcn", {"groups": 5}, "does not divide 12"),
        ("dcn", {"kernel_size": 2}, "has no middle"),
        ("ga", {"role": "causal"}, "no option|unknown option"),
    ],
)
def test_what_cannot_be_built_is_named(name, options, said):
    with pytest.raises(InputError, match=said):
        OPERATORS.sequences[name].build(12, **options)


def test_attention_of_all_terms_is_the_sum_of_them():
    x = words(2, 7)
    whole: Any = build("ga", "self", {"argument": "1111"})
    plain = build("ga", "self", {"argument": "1000"})
    plain.load_state_dict(whole.state_dict(), strict=False)
    nn.init.zeros_(whole.distances.weight)
    nn.init.zeros_(whole.key_bias)
    assert (whole(x) - plain(x)).abs().max() < 1e-12


def test_the_deformable_unit_begins_as_the_identity():
    for role in ("self", "causal"):
        unit = OPERATORS.sequences["dcn"].build_as(12, role).double()
        x = words(2, 7)
        assert torch.equal(unit(x), x)


def test_dropped_weights_of_a_convolution_keep_the_mean():
    torch.manual_seed(0)
    module = OPERATORS.sequences["dynamic"].build_as(12, "self", kernel_size=3, drop_weights=0.5).double()
    x = words(1, 5).expand(4000, -1, -1)
    drawn = module(x)
    assert not torch.equal(drawn[0], drawn[1])
    error = (drawn.mean(0) - module.eval()(x)[0]).abs().max()
    assert error < 5 * drawn.std(0).max() / math.sqrt(4000)


@pytest.mark.parametrize("bits", ["1111", "0100", "0001"])
@pytest.mark.parametrize("role", ["self", "causal"])
def test_relative_terms_keep_nothing_of_length_by_length_by_width(bits, role):
    """What the backward pass keeps is at most energies of every pair and head, and rows of the width."""
    module, n, largest = build("ga", role, {"argument": bits}), 61, 0

    def pack(tensor):
        nonlocal largest
        largest = max(largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(words(1, n).requires_grad_()).sum()
    assert largest <= HEADS * n * 2 * (n + 1)
    assert largest < n * n * CHANNELS


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_autocast_computes_all_of_them(dtype):
    for case in CASES:
        module = build(*case).float()
        x = words(2, 7).float()
        memory = x if case[1] == "cross" else None
        with torch.autocast("cpu", dtype):
            y = module(x, memory, padded([7, 4], 7))
        exact = module(x, memory, padded([7, 4], 7))
        assert (y.float() - exact).abs().max() <= 0.1 * exact.abs().max().clamp(min=1)
