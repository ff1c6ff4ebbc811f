"""Genotypes: round trips, equality, and every bad file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.config import parse
from foundation.errors import InputError
from search_space.genotype import PUBLISHED, Edge, Genotype, Node
from search_space.grammar import parse_attention
from search_space.space import HOGA
from tests.strategies import genotypes

LITERAL = (
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3_spatial', 0), ('sep_conv_3x3', 1), "
    "('CBAM', 0), ('skip_connect', 2), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 3), ('dil_conv_3x3', 2)], "
    "normal_concat=range(1, 5))"
)


@given(genotypes(operators=st.text()))
def test_json_round_trips(genotype: Genotype) -> None:
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert hash(again) == hash(genotype)
    assert again.to_json() == genotype.to_json()


@given(genotypes(every_edge=True))
def test_literal_round_trips(genotype: Genotype) -> None:
    assert Genotype.from_literal(genotype.to_literal(), fuse=genotype.fuse) == genotype


@given(genotypes(), genotypes())
def test_equal_by_value(first: Genotype, second: Genotype) -> None:
    assert (first == second) == (first.to_json() == second.to_json())
    assert len({first, second}) == (1 if first == second else 2)


def test_published_is_the_public_literal() -> None:
    assert PUBLISHED.to_literal() == LITERAL
    assert Genotype.from_literal(LITERAL) == PUBLISHED
    spread = LITERAL.replace(", ", ",\n  ").replace("[", "[  ")
    assert Genotype.from_literal(f"  {spread}\n") == PUBLISHED


def test_a_literal_of_unknown_operators_is_refused() -> None:
    with pytest.raises(InputError, match="unknown operator 'skip_conect'; did you mean skip_connect"):
        Genotype.from_literal(LITERAL.replace("skip_connect", "skip_conect"))


def test_a_file_may_hold_the_literal(tmp_path: Path) -> None:
    path = tmp_path / "cell.txt"
    path.write_text(f"\n{LITERAL}\n")
    assert Genotype.load(path) == PUBLISHED
    assert parse_attention(f"hoga:{path}")[0].genotype == PUBLISHED
    for text, told in (
        ("Genotype(normal=7)", "not a literal genotype"),
        (LITERAL, "unknown operator 'CBAMM'"),
    ):
        path.write_text(text.replace("CBAM", "CBAMM"))
        with pytest.raises(InputError, match=told) as raised:
            Genotype.load(path)
        assert str(raised.value).startswith(f"{path}: ")


def test_published_says_what_the_paper_says() -> None:
    assert str(PUBLISHED) == (
        "h1 = skip_connect(x1); h2 = sep_conv_3x3_spatial(x2) + sep_conv_3x3(h1); "
        "h3 = CBAM(x3) + skip_connect(h2) + sep_conv_3x3(h1); "
        "h4 = sep_conv_3x3(x4) + skip_connect(h1) + sep_conv_3x3(h3) + dil_conv_3x3(h2)"
    )
    assert HOGA.check(PUBLISHED) is PUBLISHED


def test_json_is_meant_for_readers() -> None:
    data = json.loads(PUBLISHED.to_json())
    assert list(data) == ["version", "space", "fuse", "nodes"]
    assert data["nodes"][1] == {
        "name": "h2",
        "edges": [
            {"source": "x2", "operator": "sep_conv_3x3_spatial"},
            {"source": "h1", "operator": "sep_conv_3x3"},
        ],
    }


def test_frozen_and_by_keyword() -> None:
    with pytest.raises(FrozenInstanceError):
        PUBLISHED.fuse = "none"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Edge("x1", "SE")  # type: ignore[call-arg]


@given(genotypes())
def test_graph_has_every_edge(genotype: Genotype) -> None:
    graph = genotype.graph()
    expected = {(edge.source, f"h{i}", edge.operator) for i, edge in genotype.edges()}
    assert set(graph.edges(data="operator")) == expected
    assert {name for name, layer in graph.nodes(data="layer") if layer == "node"} == {
        node.name for node in genotype.nodes
    }
    for node in genotype.nodes:
        ranks = [graph.edges[edge.source, node.name]["rank"] for edge in node.edges]
        assert ranks == list(range(len(node.edges)))


@given(genotypes())
def test_indices_are_those_of_the_states(genotype: Genotype) -> None:
    for i, edge in genotype.edges():
        assert edge.source == (f"h{edge.index}" if edge.index else f"x{i}")


# Bad input.


def _edges(data: dict[str, Any], node: int) -> list[dict[str, Any]]:
    return data["nodes"][node - 1]["edges"]


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "other version": (lambda d: d.update(version=2), "version 2; this autola reads version 1"),
    "other version, other keys": (
        lambda d: d.update(version=2, cells=d.pop("nodes")),
        "version 2; this autola reads version 1",
    ),
    "version is text": (lambda d: d.update(version="one"), "version 'one'"),
    "unknown key": (lambda d: d.update(genes=[]), "genes: unknown key"),
    "key with a line break": (lambda d: d.update({"a\nb": 1}), r"'a\nb': unknown key"),
    "misspelt key of an edge": (
        lambda d: _edges(d, 2)[1].update(opertor=_edges(d, 2)[1].pop("operator")),
        "nodes.1.edges.1.opertor: unknown key",
    ),
    "missing key": (lambda d: _edges(d, 3)[0].pop("source"), "nodes.2.edges.0.source: this key is missing"),
    "no nodes": (lambda d: d.update(nodes=[]), "at least one node"),
    "nodes is a number": (lambda d: d.update(nodes=3), "nodes: Input should be a valid array, not 3"),
    "unknown fuse": (lambda d: d.update(fuse="triple"), "'double', 'single' or 'none', not 'triple'"),
    "empty node": (lambda d: _edges(d, 2).clear(), "node h2 has no edge"),
    "nodes out of order": (lambda d: d["nodes"].reverse(), "node 1 is called 'h4'; its name is h1"),
    "edge from a later node": (lambda d: _edges(d, 2)[1].update(source="h3"), "'h3' -> h2: h2 reads x2, h1"),
    "edge from itself": (lambda d: _edges(d, 2)[1].update(source="h2"), "impossible edge 'h2' -> h2"),
    "edge from another group": (lambda d: _edges(d, 2)[0].update(source="x1"), "impossible edge 'x1' -> h2"),
    "edge from anywhere": (lambda d: _edges(d, 2)[0].update(source="a\n\nb"), r"impossible edge 'a\n\nb'"),
    "doubled edge": (lambda d: _edges(d, 3)[1].update(source="x3"), "node h3 reads x3 twice"),
    "operator is a list": (lambda d: _edges(d, 1)[0].update(operator=[]), "nodes.0.edges.0.operator"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_genotypes_are_refused(case: str, tmp_path: Path) -> None:
    damage, expected = DAMAGE[case]
    data = json.loads(PUBLISHED.to_json())
    damage(data)
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(data))
    for read in (lambda: Genotype.load(path), lambda: Genotype.load(tmp_path)):
        with pytest.raises(InputError) as raised:
            read()
        text = str(raised.value)
        assert expected in text
        assert text.startswith(f"{path}: ")
        assert len(text.splitlines()) == 1


@given(st.integers(0, len(PUBLISHED.to_json().rstrip()) - 1))
def test_truncated_genotypes_are_refused(length: int) -> None:
    with pytest.raises(InputError, match=r"^my file: cut short or not JSON") as raised:
        Genotype.from_json(PUBLISHED.to_json()[:length], "my file")
    assert len(str(raised.value).splitlines()) == 1


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Genotype.from_json(text)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InputError, match="recursion limit"):
        Genotype.from_json("[" * 100_000)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.json"
    latin.write_bytes(PUBLISHED.to_json().replace("hoga", "h\xf6ga").encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.json is not a genotype: it is not UTF-8 text"):
        Genotype.load(latin)
    with pytest.raises(InputError, match=r"no genotype at .*genotype\.json$"):
        Genotype.load(tmp_path)
    with pytest.raises(InputError, match=r"no genotype at .*missing$"):
        Genotype.load(tmp_path / "missing")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "Genotype",
        "Genotype()",
        "Genotype(normal=[('SE', 0)])",
        "Genotype([('SE', 0)], range(1, 2))",
        "Genotype(normal_concat=range(1, 2), normal=[('SE', 0)])",
        "Genotype(normal=[('SE', 0)], normal_concat=range(1, 2), reduce=[])",
        "Genotype(normal=[('SE', 0)], normal_concat=[1])",
        "Genotype(normal=[('SE', 0)], normal_concat=range(2))",
        "Genotype(normal=[('SE', 0.7)], normal_concat=range(1, 2))",
        "Genotype(normal=[('SE', True)], normal_concat=range(1, 2))",
        "Genotype(normal=[(3, 0)], normal_concat=range(1, 2))",
        "Genotype(normal=['S0'], normal_concat=range(1, 2))",
        "Genotype(normal=[('SE', 0)], normal_concat=range(1, 2.5))",
        "Genotype(normal=[('SE', 0, 1)], normal_concat=range(1, 2))",
        "Genotype(normal=7, normal_concat=range(1, 2))",
        "-" * 100_000 + "1",
        "(" * 1000 + ")" * 1000,
    ],
)
def test_other_literals_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^not a literal genotype; the form is Genotype") as raised:
        Genotype.from_literal(text)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Genotype(normal=[('SE', 0)], normal_concat=range(1, 3))", "1 edges do not make the nodes"),
        ("Genotype(normal=[('SE', 0)], normal_concat=range(0, 2))", "1 edges do not make the nodes"),
        ("Genotype(normal=[], normal_concat=range(1, 1))", "at least one node"),
        ("Genotype(normal=[('SE', 1)], normal_concat=range(1, 2))", "impossible edge 'h1' -> h1"),
        ("Genotype(normal=[('SE', -1)], normal_concat=range(1, 2))", "impossible edge 'h-1' -> h1"),
        ("Genotype(normal=[('SE', 0), ('SE', 1), ('SE', 1)], normal_concat=range(1, 3))", "reads h1 twice"),
    ],
)
def test_impossible_literals_are_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        Genotype.from_literal(text)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "Genotype(normal={}, normal_concat=range(1, 2))",
        "Genotype(normal=[('SE', {})], normal_concat=range(1, 2))",
        "Genotype(normal=[('SE', 0)], normal_concat=range(1, {}))",
        "Genotype(normal=[(x, 0) for x in [{}]], normal_concat=range(1, 2))",
        "(lambda Genotype: {})(0)",
    ],
)
def test_literals_are_never_executed(form: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    code = f"__import__('os').system('touch {witness}')"
    with pytest.raises(InputError, match="not a literal genotype"):
        Genotype.from_literal(form.format(code))
    assert not witness.exists()


def test_literal_form_needs_every_edge() -> None:
    lean = Genotype.of([[("SE", 0)], [("SE", 1)]])
    with pytest.raises(InputError, match="the literal form needs 2 edges in h2, not 1"):
        lean.to_literal()


def test_direct_construction_is_checked_too() -> None:
    edge = Edge(source="x1", operator="SE")
    with pytest.raises(InputError, match="reads x1 twice"):
        Genotype(nodes=(Node(name="h1", edges=(edge, edge)),))
    with pytest.raises(InputError, match="version 0"):
        replace(PUBLISHED, version=0)
    with pytest.raises(InputError, match=r"^here: nodes.0.edges"):
        parse(Genotype, {"nodes": [{"name": "h1", "edges": 0}]}, "here")
