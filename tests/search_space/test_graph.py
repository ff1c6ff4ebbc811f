"""Depth, ways and unread groups against walks written out; equal up to the order of groups."""

from __future__ import annotations

import pytest
from hypothesis import given

from search_space.genotype import PUBLISHED, Genotype
from search_space.graph import SKIP, facts, isomorphic
from tests.strategies import genotypes


def walks(genotype: Genotype) -> list[list[str]]:
    """The operators on every way from a group to a node."""
    ways = dict[str, list[list[str]]]()
    for node in genotype.nodes:
        ways[node.name] = [
            [*way, edge.operator] for edge in node.edges for way in ways.get(edge.source, [[]])
        ]
    return [way for each in ways.values() for way in each]


@given(genotypes())
def test_figures_are_those_of_all_walks(genotype: Genotype) -> None:
    found, all_walks = facts(genotype), walks(genotype)
    assert found.paths == len(all_walks)
    assert found.depth == max(sum(name != SKIP for name in way) for way in all_walks)
    read = {edge.source for _, edge in genotype.edges()}
    assert found.unread == tuple(f"x{i}" for i in range(1, len(genotype.nodes) + 1) if f"x{i}" not in read)
    assert found.skips == sum(edge.operator == SKIP for _, edge in genotype.edges())
    assert isomorphic(genotype, genotype)


def test_the_published_cell() -> None:
    assert str(facts(PUBLISHED)) == "depth 2, 15 paths, 3 of the edges skip"


def test_groups_may_change_places() -> None:
    # Two nodes that nobody else reads: their order says nothing.
    one = Genotype.of([[("SE", 0)], [("CBAM", 0)], [("SE_A_M", 1)]])
    other = Genotype.of([[("CBAM", 0)], [("SE", 0)], [("SE_A_M", 2)]])
    third = Genotype.of([[("CBAM", 0)], [("SE", 0)], [("SE_A_M", 1)]])
    assert isomorphic(one, other)
    assert not isomorphic(one, third)
    assert facts(one).unread == ("x3",)
    assert str(facts(one)).endswith("0 of the edges skip; x3 read by no edge")


@pytest.mark.parametrize("change", [{"fuse": "none"}, {"space": "own"}])
def test_the_fuse_counts_and_the_name_of_the_space_does_not(change: dict[str, str]) -> None:
    pairs = [[("SE", 0)], [("CBAM", 0), ("SE", 1)]]
    assert isomorphic(Genotype.of(pairs), Genotype.of(pairs, **change)) == ("space" in change)  # pyright: ignore
