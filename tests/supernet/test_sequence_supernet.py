"""A Transformer whose attentions are searched: its space, its mixtures, what is derived and carries over."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evaluators.counting import params
from evaluators.sequence_costs import sequence_table
from foundation.errors import InputError
from search_space.attention import as_terms
from search_space.grammar import parse_attention, placement_at
from search_space.placement import Placement
from search_space.places import SEQUENCE_CANDIDATES
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.networks.transformer import build_transformer
from supernet.placing import places_of
from supernet.sequence_places import left_out_at, sequence_places
from supernet.sequence_placing import place, standing_at
from supernet.sequence_supernet import SequenceSupernet
from supernet.supernet import one_hot
from tests.equality import assert_equal
from tests.supernet.networks.test_transformer import SOURCE, TARGET, TINY

FEW = ("none", "ga:0110", "ga:0010+dcn", "dynamic[kernel_size=3]")


def plain(attention="none", **changes):
    return build_transformer(replace(TINY, **changes), 13, parse_attention(attention)).double()


def space_of(network, candidates=SEQUENCE_CANDIDATES, sites=None):
    return sequence_places(network, candidates, sites, name="tiny")


def drawn(space, seed=0):
    import random

    return space.sample(random.Random(seed))


def test_sites_are_the_attentions_of_all_layers():
    space = space_of(plain())
    assert space.rows == (
        *("encoder.self.1", "encoder.self.2"),
        *(f"decoder.self.{layer}" for layer in (1, 2, 3)),
        *(f"decoder.cross.{layer}" for layer in (1, 2, 3)),
    )
    assert space.names_at("decoder.self.2") == list(SEQUENCE_CANDIDATES)
    assert space.names_at("decoder.cross.1") == ["none", "ga:0010", "ga:1010"]
    assert left_out_at(space) == (
        "ga:1111, ga:0110, ga:0000, dynamic[kernel_size=7], ga:0010+dcn at decoder.cross"
    )
    assert space_of(plain(), FEW, ["self"]).rows == space.rows[:5]
    assert space_of(plain(), FEW, ["decoder.self.3", "encoder.self"]).rows == (*space.rows[:2], space.rows[4])


def test_relative_positions_leave_plain_attention_out():
    network = plain("self=ga:1111", positions="relative")
    space = space_of(network, FEW, ["encoder.self", "decoder.cross"])
    assert space.names_at("encoder.self.1") == list(FEW[1:])
    assert space.names_at("decoder.cross.1") == ["none"]
    assert drawn(space).attentions["decoder.self.2"] == "ga:1111", "what is not searched stays"


@pytest.mark.parametrize(
    ("candidates", "sites", "said"),
    [
        (("none", "se"), None, "`se` has no form on sequences"),
        (("none", "gaa"), None, "unknown attention 'gaa'"),
        (("none", "hoga"), None, "`hoga` has no form on sequences"),
        (("none", "self=dcn"), None, "leave out self="),
        (("none", "ga:0110[stages=1]"), None, "a placement says itself where"),
        (("none", "ga:0110"), ["decoder.cross"], "ga:0110 fits no site that is searched"),
        (("none", "ga:0110"), ["decoder.self.4"], "unknown attention of the Transformer 'decoder.self.4'"),
        (("none", "ga:2"), None, "ga:2 has no such terms"),
        (("none", "none"), None, "given twice"),
        (("none", "ga:1111+ga:0110"), None, "both stand for encoder.self of layer 1"),
        (("none", "ga:1111[heads=5]"), None, "does not divide 12 channels"),
    ],
)
def test_what_cannot_stand_is_refused(candidates, sites, said):
    with pytest.raises(InputError, match=r".*") as caught:
        space_of(plain(), candidates, sites)
    assert said in str(caught.value)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_one_hot_is_the_network_that_is_derived(norm, seed):
    torch.manual_seed(seed)
    network = plain(norm=norm)
    supernet = SequenceSupernet(network, space_of(network)).eval()
    found = drawn(supernet.space, seed)
    weights = one_hot(supernet.space, found).double()
    derived = supernet.derived(found)
    expected = derived.eval()(SOURCE, TARGET)
    for chosen in (None, weights.argmax(1).tolist()):
        assert_equal(supernet(SOURCE, TARGET, weights=weights, chosen=chosen), expected)
    again = build_transformer(replace(TINY, norm=norm), 13, as_terms(found)).double()
    again.load_state_dict(derived.state_dict())
    assert_equal(again.eval()(SOURCE, TARGET), expected)


def test_a_mixture_is_the_weighted_sum_of_its_candidates():
    network = plain()
    supernet = SequenceSupernet(network, space_of(network, FEW, ["encoder.self.2"])).eval()
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
    mixed = supernet.sites()["encoder.self.2"]
    x, padding = (
        torch.randn(2, 5, 12, dtype=torch.float64),
        torch.tensor([[False] * 5, [False] * 3 + [True] * 2]),
    )
    with supernet.mixed_by(weights):
        y = mixed(x, None, padding)
    own = [operator(x, None, padding) for operator in mixed.operators.values()]
    assert_equal(y, torch.stack([weight * each for weight, each in zip(weights[0], own)]).sum(0))


def test_alphas_and_every_candidate_learn_and_nobody_looks_ahead():
    network = plain()
    supernet = SequenceSupernet(network, space_of(network)).train()
    supernet(SOURCE, TARGET).square().sum().backward()
    assert supernet.alphas.grad is not None
    fitting = [
        [supernet.space.primitives.index(n) for n in supernet.space.names_at(r)] for r in supernet.space.rows
    ]
    for row, columns in enumerate(fitting):
        assert supernet.alphas.grad[row, columns].abs().min() > 0
    y = supernet.eval()(SOURCE, torch.tensor([[1, 6, 8, 9], [1, 5, 7, 12]]))
    later = supernet.eval()(SOURCE, torch.tensor([[1, 6, 10, 3], [1, 5, 4, 4]]))
    assert_equal(later[:, :2], y[:, :2])
    assert (later[:, 2:] - y[:, 2:]).abs().min() > 0


def test_a_placement_is_written_and_read_and_stands(tmp_path):
    network = plain()
    found = drawn(space_of(network), 5)
    (tmp_path / "placement.json").write_text(found.to_json())
    assert placement_at(tmp_path) == found
    assert Placement.from_json(found.to_json()) == found
    built = build_transformer(TINY, 13, parse_attention(f"places:{tmp_path}"))
    assert standing_at(built) == found.attentions
    placed = place(build_transformer(TINY, 13), found)
    assert {key: value.shape for key, value in placed.state_dict().items()} == {
        key: value.shape for key, value in built.state_dict().items()
    }


def test_what_stands_already_keeps_its_weights():
    network = plain()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    space = space_of(network, FEW)
    place(network, space.genotype(["ga:0110", *["none"] * 7]))
    after = network.state_dict()
    kept = [key for key in before if not key.startswith("encoder.0.self_attention.")]
    assert all(torch.equal(before[key], after[key]) for key in kept)


def test_a_placement_carries_over_to_another_depth(caplog):
    space = space_of(plain())
    found = space.genotype(["ga:0110", "ga:0010", "ga:0000", "none", "ga:1111", "none", "ga:0010", "none"])
    deeper = build_transformer(
        replace(TINY, encoder_layers=4, decoder_layers=3, width=24), 13, as_terms(found)
    )
    standing = standing_at(deeper)
    assert [standing[f"encoder.self.{layer}"] for layer in (1, 2, 3, 4)] == [
        "ga:0110", "ga:0110", "ga:0010", "ga:0010"
    ]  # fmt: skip
    assert standing["decoder.self.3"] == "ga:1111"
    assert "was carried over to the 10 of 4+3 layers" in caplog.text


def test_placements_stay_in_their_kind_of_network():
    found = space_of(plain()).genotype(["ga:0110", *["none"] * 7])
    resnet = build_backbone("cifar_resnet8")
    with pytest.raises(InputError, match="has neither its sites nor such blocks"):
        attach(resnet, found)
    maps = places_of(resnet, ("none", "se"))
    with pytest.raises(InputError, match="takes those that were searched in one"):
        build_transformer(TINY, 13, as_terms(drawn(maps, 1)))
    renamed = replace(found.standings[0], site="encoder.self.x")
    with pytest.raises(InputError, match=r"names the site 'encoder\.self\.x' of encoder\.self"):
        build_transformer(TINY, 13, as_terms(replace(found, standings=(renamed, *found.standings[1:]))))
    crossed = replace(found.standings[-1], attention="dynamic")
    with pytest.raises(InputError, match="dynamic cannot stand between decoder and encoder"):
        build_transformer(TINY, 13, as_terms(replace(found, standings=(*found.standings[:-1], crossed))))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metric", ["params", "macs"])
@pytest.mark.parametrize("positions", ["absolute", "relative"])
def test_costs_are_those_of_the_network_that_is_built(metric, seed, positions):
    network = plain("none" if positions == "absolute" else "self=ga:1111", positions=positions)
    space = space_of(network)
    table = sequence_table(metric, space, network, (1, 7, 5), torch.device("cpu"))
    count = params if metric == "params" else lambda network: network.macs((1, 1, 7, 5))
    assert table.plain == count(network)
    found = drawn(space, seed)
    built = build_transformer(replace(TINY, positions=positions), 13, as_terms(found))
    assert table.of(found) == count(built)
    assert table.fixed <= table.of(found)
    assert min(min(costs.values()) for costs in table.sites.values()) >= 0


def test_latencies_are_measured_of_every_candidate():
    network = plain().float()
    space = space_of(network, ("none", "ga:0000", "dynamic"), ["self"])
    table = sequence_table("latency", space, network, (1, 7, 5), torch.device("cpu"))
    assert table.fixed > 0
    assert all(cost > 0 for costs in table.sites.values() for cost in costs.values())
    assert table.plain == table.of(space.genotype(["none"] * 5))
    assert table.sites["encoder.self.1"] == table.sites["encoder.self.2"]
