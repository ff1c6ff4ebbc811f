"""Latency of all cells of a space from that of a few, whose times are made up here."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn

from evaluators import cell_latency
from evaluators.cell_latency import CELLS, drawn_cells, latency_table
from search_space.cell import Cell
from search_space.native.operator import why_missing
from search_space.space import HOGA, Space
from search_space.term import Term

SOME = Space(name="some", primitives=("none", "skip_connect", "SE", "sep_conv_3x3", "eca"), num_nodes=4)
PLAIN = 2.0
STOCK = {"skip_connect": 0.0, "SE": 0.25, "sep_conv_3x3": 0.75, "eca": 0.5}
NATIVE = {"skip_connect": 0.0, "SE": 0.0625, "sep_conv_3x3": 0.125}


def time_of(genotype: Any, *, native: bool) -> float:
    names = [edge.operator for _, edge in genotype.edges()]
    if native and "eca" not in names:
        return 2.5 + sum(NATIVE[name] for name in names)
    return 6.0 + sum(STOCK[name] for name in names)


def build(genotype: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        network = nn.Identity() if genotype is None else Term(name="hoga", genotype=genotype).build(16)
    network.asked = genotype  # pyright: ignore[reportArgumentType]
    return network


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each cell that was measured might run as one, in their order."""
    seen = list[bool]()

    def added(
        plain: Any, others: Any, device: Any, target: str, native: bool
    ) -> tuple[float, dict[int, float]]:
        assert plain[1].asked is None
        found = {}
        for name, network, _ in others:
            seen.append(native)
            found[name] = time_of(network.asked, native=native) - PLAIN
        assert len(found) <= len(SOME.candidates), "all of them would be in memory at once"
        return PLAIN, found

    monkeypatch.setattr(cell_latency, "added_latencies", added)
    return seen


def check(table: Any, *, native: bool) -> None:
    rng = random.Random(0)
    genotypes = [SOME.sample(rng) for _ in range(20)]
    genotypes += [SOME.genotype([name] * 10) for name in SOME.candidates]
    genotypes.append(SOME.strongest([[1.0, *(rng.random() for _ in range(4))] for _ in range(10)], most=1))
    for genotype in genotypes:
        assert table.of(genotype) == pytest.approx(time_of(genotype, native=native), rel=1e-9)


def test_cells_that_run_alike_have_one_sum(asked: list[bool]) -> None:
    table = latency_table(SOME, build, (16, 7, 5), torch.device("cpu"), native=False)
    assert table.native is None
    assert table.plain == PLAIN
    assert table.fixed == pytest.approx(6.0)
    assert table.operators == pytest.approx(STOCK, abs=1e-9)
    assert asked == [False] * CELLS * 4
    check(table, native=False)


def test_one_operator_that_is_not_native_has_the_whole_cell_run_apart(asked: list[bool]) -> None:
    table = latency_table(SOME, build, (16, 7, 5), torch.device("cpu"), native=True)
    assert table.native is not None
    assert table.native.fixed == pytest.approx(2.5)
    assert table.native.operators == pytest.approx(NATIVE, abs=1e-9)
    assert asked == [False] * CELLS * 4 + [True] * CELLS * 3
    check(table, native=True)
    mixed = SOME.genotype(["SE"] * 9 + ["eca"])
    assert table.of(mixed) > 2 * table.of(SOME.genotype(["SE"] * 10)), "what a limit has to know"


def test_where_all_operators_are_native_there_is_nothing_else(asked: list[bool]) -> None:
    space = Space(name="native", primitives=SOME.primitives[:-1], num_nodes=2)
    table = latency_table(space, build, (16, 7, 5), torch.device("cpu"), native=True)
    assert table.native is None
    assert all(asked)
    assert table.operators == pytest.approx(NATIVE, abs=1e-9)


@pytest.mark.parametrize("num_operators", [1, 2, 3, 5, 8, 10, 16])
@pytest.mark.parametrize("num_nodes", [1, 2, 4])
def test_cells_tell_all_operators_apart(num_operators: int, num_nodes: int) -> None:
    edges = Space(name="any", primitives=("none", "SE"), num_nodes=num_nodes).edges
    cells = drawn_cells(num_operators, edges)
    assert len(cells) == CELLS * num_operators
    assert {operator for cell in cells for _, operator in cell} == set(range(num_operators))
    for cell in cells:
        assert {node for (node, _), _ in cell} == set(range(1, num_nodes + 1)), "a node without an edge"
        assert len({edge for edge, _ in cell}) == len(cell)
        assert {edge for edge, _ in cell} <= set(edges)
    assert cells == drawn_cells(num_operators, edges), "other ones, other tables"


def test_all_operators_of_the_public_space_are_native() -> None:
    cells = [build(HOGA.genotype([name] * 10)) for name in HOGA.candidates]
    assert all(isinstance(cell, Cell) for cell in cells)
    assert all(map(cell_latency._is_native, cells))
    assert not cell_latency._is_native(build(SOME.genotype(["eca"] * 10)))


@pytest.mark.skipif(why_missing() is not None, reason="no compiler")
def test_measured_on_this_machine() -> None:
    space = Space(name="two", primitives=("none", "SE", "eca"), num_nodes=2)
    table = latency_table(space, build, (16, 5, 7), torch.device("cpu"))
    assert table.native is not None
    assert set(table.native.operators) == {"SE"}
    assert set(table.operators) == {"SE", "eca"}
    assert table.fixed >= table.plain > 0
    assert table.native.fixed >= table.plain
