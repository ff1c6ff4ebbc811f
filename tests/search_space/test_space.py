"""Search spaces: size, sampling and mutation."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.config import parse_json, to_json
from foundation.errors import InputError
from search_space.genotype import PUBLISHED, Genotype
from search_space.operator import OPERATORS
from search_space.space import HOGA, NONE, SPACES, Space
from tests.strategies import FUSES, genotypes

spaces = st.builds(
    Space,
    name=st.just("mine"),
    primitives=st.sets(st.sampled_from(HOGA.candidates), min_size=2, max_size=4).map(
        lambda names: (NONE, *sorted(names))
    ),
    num_nodes=st.integers(1, 5),
    fuse=st.sampled_from(FUSES),
)


def test_hoga_is_the_public_space() -> None:
    assert SPACES["hoga"] is HOGA
    assert HOGA.primitives == (
        "none",
        "skip_connect",
        "sep_conv_3x3",
        "dil_conv_3x3",
        "sep_conv_3x3_spatial",
        "dil_conv_3x3_spatial",
        "SE",
        "SE_A_M",
        "CBAM",
    )
    assert len(HOGA.edges) == 10
    assert HOGA.size == 8**10


@pytest.mark.parametrize("name", SPACES)
def test_registered_spaces_have_registered_operators(name: str) -> None:
    space = SPACES[name]
    assert space.name == name
    assert all(primitive in OPERATORS for primitive in space.primitives)
    assert parse_json(Space, to_json(space), name) == space


def test_edges_are_in_the_order_of_the_alphas() -> None:
    assert replace(HOGA, num_nodes=3).edges == ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))


def test_size_counts_the_genotypes() -> None:
    space = Space(name="small", primitives=("SE", NONE, "CBAM", "skip_connect"), num_nodes=2)
    every = {
        Genotype.of([[(a, 0)], [(b, 0), (c, 1)]], space="small")
        for a, b, c in itertools.product(space.candidates, repeat=3)
    }
    assert space.size == len(every) == 27
    rng = random.Random(0)
    assert {space.sample(rng) for _ in range(600)} == every


@given(spaces, st.integers())
def test_samples_are_valid(space: Space, seed: int) -> None:
    genotype = space.sample(random.Random(seed))
    assert space.check(genotype) is genotype
    assert (genotype.space, genotype.fuse) == (space.name, space.fuse)
    assert tuple((node, edge.index) for node, edge in genotype.edges()) == space.edges
    assert space.sample(random.Random(seed)) == genotype


@given(genotypes(), st.integers())
def test_mutation_changes_one_operator(genotype: Genotype, seed: int) -> None:
    neighbour = HOGA.mutate(genotype, random.Random(seed))
    before, after = list(genotype.edges()), list(neighbour.edges())
    assert [(node, edge.source) for node, edge in before] == [(node, edge.source) for node, edge in after]
    assert sum(old != new for old, new in zip(before, after)) == 1
    assert HOGA.check(neighbour) is neighbour
    assert (neighbour.space, neighbour.fuse) == (genotype.space, genotype.fuse)
    assert HOGA.mutate(genotype, random.Random(seed)) == neighbour


def test_mutation_reaches_every_neighbour() -> None:
    rng = random.Random(0)
    assert len({HOGA.mutate(PUBLISHED, rng) for _ in range(2000)}) == 10 * 7


def test_nothing_to_mutate() -> None:
    space = Space(name="one", primitives=(NONE, "SE"))
    with pytest.raises(InputError, match="'one' has one candidate"):
        space.mutate(space.sample(random.Random(0)), random.Random(0))


@pytest.mark.parametrize("operator", ["sep_conv_5x5", NONE])
def test_check_names_the_edge(operator: str) -> None:
    genotype = Genotype.of([[("SE", 0)], [("SE", 0), (operator, 1)]])
    with pytest.raises(InputError, match=f"^edge h1 -> h2: unknown operator '{operator}'; "):
        HOGA.check(genotype)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_nodes": 0}, "at least one node, not 0"),
        ({"primitives": ("SE", "CBAM", "SE")}, "'hoga' lists a primitive twice"),
        ({"primitives": (NONE,)}, "'hoga' has no primitive besides 'none'"),
        ({"primitives": ()}, "'hoga' has no primitive besides 'none'"),
    ],
)
def test_impossible_spaces_are_refused(options: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        replace(HOGA, **options)


def test_hoga_wide_has_the_nine_first() -> None:
    wide = SPACES["hoga_wide"]
    assert wide.primitives[: len(HOGA.primitives)] == HOGA.primitives
    rng = random.Random(0)
    genotypes = [wide.sample(rng) for _ in range(200)]
    assert {edge.operator for genotype in genotypes for _, edge in genotype.edges()} == set(wide.candidates)
    assert all(wide.check(wide.mutate(genotype, rng)) for genotype in genotypes)
    with pytest.raises(InputError, match="unknown operator 'ga:0011'; did you mean ga:0010 or ga:1111"):
        wide.check(Genotype.of([[("ga:0011", 0)]], space="hoga_wide"))


def test_names_with_an_argument_are_operators() -> None:
    recipe = OPERATORS["ga:0110"]
    assert (recipe.name, recipe.options, recipe.place) == ("ga:0110", {"argument": "0110"}, "activation")
    assert "ga:0110" in OPERATORS
    assert "se:8" not in OPERATORS
    assert "gx:0110" not in OPERATORS
    assert "ga:0110" not in list(OPERATORS)
    with pytest.raises(InputError, match="`se` takes no argument, but 'se:8' gives it '8'"):
        OPERATORS["se:8"]
    with pytest.raises(InputError, match="unknown operator 'gx'; "):
        OPERATORS["gx:0110"]
