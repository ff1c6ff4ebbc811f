"""The derivation rule against a literal restatement of the public one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluators.cost import measure
from outputs.draw import save
from search_space.genotype import Genotype
from search_space.space import HOGA, NONE, Space
from search_space.term import Term
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.derive import RULES, Rule, argmax, strongest, top2


def literal_rule(primitives: tuple[str, ...], num_nodes: int, weights: list[list[float]]) -> Genotype:
    """PAPERS 1.4: per node, edges by their best weight besides none's; all kept, with their best operator."""
    nodes, start = [], 0
    for i in range(num_nodes):
        rows = weights[start : start + i + 1]
        start += i + 1
        strengths, winners = [], []
        for row in rows:
            best = None
            for k, weight in enumerate(row):
                if primitives[k] == "none":
                    continue
                if best is None or weight > row[best]:
                    best = k
            assert best is not None
            strengths.append(row[best])
            winners.append(primitives[best])
        order = list(range(i + 1))
        for a in range(i + 1):  # insertion sort: stable by hand
            for b in range(a, 0, -1):
                if strengths[order[b]] > strengths[order[b - 1]]:
                    order[b], order[b - 1] = order[b - 1], order[b]
        nodes.append([(winners[j], j) for j in order])
    return Genotype.of(nodes)


@st.composite
def searched(draw: st.DrawFn) -> tuple[Space, list[list[float]]]:
    """A space and mixing weights, ties among them."""
    primitives = draw(st.permutations(HOGA.primitives))[: draw(st.integers(2, 9))]
    if primitives == [NONE]:
        primitives = list(HOGA.primitives)
    space = Space(name="hoga", primitives=tuple(primitives), num_nodes=draw(st.integers(1, 5)))
    weight = st.integers(0, 3).map(float) | st.floats(0, 1)
    row = st.lists(weight, min_size=len(primitives), max_size=len(primitives))
    return space, draw(st.lists(row, min_size=len(space.edges), max_size=len(space.edges)))


@given(searched())
def test_equals_the_public_rule(case: tuple[Space, list[list[float]]]) -> None:
    space, weights = case
    genotype = argmax(space, weights)
    assert genotype == literal_rule(space.primitives, space.num_nodes, weights)
    assert {(node, edge.index) for node, edge in genotype.edges()} == set(space.edges)
    assert space.check(genotype) is genotype


def test_none_never_wins() -> None:
    rows = [[9.0, *([0.0] * 7), 1.0] for _ in HOGA.edges]
    assert {edge.operator for _, edge in argmax(HOGA, rows).edges()} == {"CBAM"}


def test_ties_keep_the_order() -> None:
    genotype = argmax(HOGA, [[0.1] * 9 for _ in HOGA.edges])
    assert [(node, edge.index) for node, edge in genotype.edges()] == list(HOGA.edges)
    assert {edge.operator for _, edge in genotype.edges()} == {"skip_connect"}


def test_edges_are_listed_by_strength() -> None:
    rows = [[0.0] * 9 for _ in HOGA.edges]
    rows[HOGA.edges.index((3, 1))][8] = 0.9
    rows[HOGA.edges.index((3, 2))][6] = 0.5
    edges = argmax(HOGA, rows).nodes[2].edges
    assert [(edge.source, edge.operator) for edge in edges] == [
        ("h1", "CBAM"),
        ("h2", "SE"),
        ("x3", "skip_connect"),
    ]


@given(searched())
def test_top2_keeps_the_two_strongest_edges(case: tuple[Space, list[list[float]]]) -> None:
    space, weights = case
    whole, kept = argmax(space, weights), top2(space, weights)
    for all_edges, edges in zip(whole.nodes, kept.nodes):
        assert edges.edges == all_edges.edges[:2]
    assert space.check(kept) is kept
    assert Genotype.from_json(kept.to_json()) == kept
    assert strongest(space, weights, space.num_nodes) == whole


def test_a_genotype_of_two_edges_a_node_is_attached_counted_and_drawn(tmp_path: Path) -> None:
    genotype = top2(HOGA, torch.rand(10, 9, generator=torch.Generator().manual_seed(0)).tolist())
    assert [len(node.edges) for node in genotype.nodes] == [1, 2, 2, 2]
    found = (Term(name="hoga", genotype=genotype),)
    network = attach(build_backbone("cifar_resnet8"), found)
    assert network(torch.randn(2, 3, 9, 7)).shape == (2, 10)
    settings = {"backbone": "cifar_resnet8", "input_shape": (3, 8, 8), "latency": False, "activation": False}
    assert measure(attention=found, **settings).macs > measure(attention="none", **settings).macs
    assert save(genotype, tmp_path / "cell.svg").stat().st_size > 0


@pytest.mark.parametrize("rule", RULES)
def test_rules_never_choose_none(rule: Rule) -> None:
    rows = [[9.0, *([0.0] * 7), 1.0] for _ in HOGA.edges]
    assert {edge.operator for _, edge in RULES[rule](HOGA, rows).edges()} == {"CBAM"}


@pytest.mark.parametrize("num_rows", [0, 9, 11])
def test_rows_have_to_match_the_edges(num_rows: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        argmax(HOGA, [[0.1] * 9] * num_rows)
