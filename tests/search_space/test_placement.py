"""Placements as data, and in the grammar."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import InputError
from search_space.attention import as_terms
from search_space.genotype import PUBLISHED
from search_space.grammar import Term, flat, label, parse_attention, placement_at
from search_space.placement import Placement, Standing

ATTENTIONS = ("none", "se", "se[reduction=8]+eca", "ga:0010", "hoga", "se+hoga:some where/run")


@st.composite
def placements(draw):
    count = draw(st.integers(1, 6))
    standings = []
    for number in range(count):
        attention = draw(st.sampled_from(ATTENTIONS))
        genotype = PUBLISHED if "hoga" in attention else None
        standings.append(
            Standing(
                site=f"layer{number}.bn2",
                channels=draw(st.integers(1, 9)),
                stage=draw(st.sampled_from(["", "1", "2"])),
                attention=attention,
                genotype=genotype,
            )
        )
    return Placement(network="mine", family="my.blocks", standings=tuple(standings))


def one(attention="se", **changes):
    genotype = PUBLISHED if "hoga" in attention else None
    standing = Standing(site="bn", channels=4, attention=attention, genotype=genotype)
    return Placement(**{"network": "n", "family": "f", "standings": (standing,)} | changes)


@given(placements())
def test_json_gives_back_an_equal_placement(placement):
    text = placement.to_json()
    assert Placement.from_json(text) == placement
    assert Placement.from_json(text).to_json() == text


@given(placements())
def test_a_file_is_named_in_the_grammar_and_holds_the_same(placement):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        path.write_text(placement.to_json())
        term = Term(name="places", argument=str(path), placement=placement)
        assert parse_attention(f"places:{path}") == as_terms(path) == (term,)
        assert label(parse_attention(f"se+places:{path}")) == f"se+places:{path}"
        assert placement_at(path) == placement


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        one().network = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_what_stands_in_it_is_read_with_its_genotype():
    (term,) = as_terms(one("se+hoga:gone/run"))
    assert [other.name for other in flat((term,))] == ["se", "hoga"]
    assert flat((term,))[1].genotype == PUBLISHED


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: one(version=2), "of version 2; this autola reads version 1"),
        (lambda: one(standings=()), "at least one site"),
        (lambda: one(standings=one().standings * 2), "names site 'bn' 2 times"),
        (lambda: Standing(site="bn", channels=0), "0 channels at 'bn'"),
        (lambda: Standing(site="bn", channels=4, attention="hoga"), "has no genotype"),
        (lambda: Standing(site="bn", channels=4, attention="se", genotype=PUBLISHED), "has a genotype"),
        (lambda: Placement.from_json('{"version": 7}'), "of version 7"),
        (lambda: Placement.from_json('{"network": "n"}', "file"), "^file: "),
        (lambda: as_terms(one("aw")), "aw does not stand after a module"),
        (lambda: as_terms(one("see")), "unknown attention 'see'"),
        (lambda: as_terms(one("se[stages=3]")), "chooses stages"),
        (lambda: parse_attention("places"), "needs the path of a placement"),
        (lambda: parse_attention("places:/no/such/file"), "no run folder or placement file"),
    ],
)
def test_what_is_impossible_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_genotype_and_a_placement_are_not_taken_for_each_other(tmp_path):
    genotype, placement = tmp_path / "genotype.json", tmp_path / "placement.json"
    genotype.write_text(PUBLISHED.to_json())
    placement.write_text(one().to_json())
    with pytest.raises(InputError, match="named hoga:"):
        parse_attention(f"places:{genotype}")
    with pytest.raises(InputError, match="name it places:"):
        parse_attention(f"hoga:{placement}")
