"""The HOGA cell against the formula of PAPERS 1.2."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foundation.errors import InputError
from search_space.cell import Cell, FoundEdges, edge_name, group_width
from search_space.found_cell import found_cell
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import parse_attention
from search_space.state import State
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled
from tests.search_space import literal
from tests.strategies import genotypes


@settings(max_examples=60)
@given(genotype=genotypes(), width=st.integers(1, 4), training=st.booleans(), seed=st.integers(0, 99))
def test_equals_the_formula(genotype: Genotype, width: int, training: bool, seed: int) -> None:
    channels = width * len(genotype.nodes)
    cell = scrambled(found_cell(channels, genotype), seed).train(training)
    x = image(2, channels, 5, 7, seed=seed)
    expected = literal.hoga(cell, genotype, x)
    assert_equal(cell(x), expected, through=cell)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_published_cell_equals_the_formula(training: bool) -> None:
    cell = scrambled(found_cell(16, PUBLISHED)).train(training)
    x = image(2, 16, 5, 7)
    assert_equal(cell(x), literal.hoga(cell, PUBLISHED, x), through=cell)


@pytest.mark.parametrize(("channels", "expected"), [(16, 1405 + 8), (32, 4262), (64, 14_744)])
def test_has_the_parameters_of_the_public_module(channels: int, expected: int) -> None:
    # At 16 channels the public gate of the groups has no hidden unit; ours has one, of 4 + 4 weights.
    cell = found_cell(channels, PUBLISHED)
    assert num_parameters(cell) == expected
    assert cell.fuse is not None
    assert num_parameters(cell.fuse) == 9 * channels**2 // 4 + 4 * channels


def test_its_fuse_folds_nothing() -> None:
    cell: Any = found_cell(16, PUBLISHED)
    with pytest.raises(InputError, match="fold the network before attaching"):
        cell.fuse()  # as timm's reparameterize_model calls it


def test_fuses_differ_in_weights_alone() -> None:
    sizes = {}
    for fuse in ("double", "single", "none"):
        genotype = Genotype.of([[("SE", 0)], [("SE", 0), ("SE", 1)]], fuse=fuse)
        cell = found_cell(8, genotype)
        sizes[fuse] = num_parameters(cell)
        assert cell(torch.ones(2, 8, 3, 3)).shape == (2, 8, 3, 3)
    assert sizes["double"] - sizes["single"] == 8 * 8 + 2 * 8
    assert sizes["single"] - sizes["none"] == 12 * 8 + 2 * 8


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_memory_formats_agree(training: bool) -> None:
    cell = scrambled(found_cell(16, PUBLISHED)).train(training)
    x = image(2, 16, 5, 7)
    expected = cell(x)
    got = cell(x.contiguous(memory_format=torch.channels_last))
    assert_equal(got, expected, through=cell)


def test_leaves_its_input_alone() -> None:
    x = image(2, 16, 5, 7)
    genotype = Genotype.of([[("skip_connect", j) for j in range(i)] for i in range(1, 5)], fuse="none")
    scrambled(found_cell(16, genotype))(x)
    assert torch.equal(x, image(2, 16, 5, 7))


def test_gradients_are_right() -> None:
    cell = scrambled(found_cell(4, PUBLISHED)).eval()
    assert torch.autograd.gradcheck(cell, image(1, 4, 3, 4).requires_grad_())


def test_sits_at_the_inner_place() -> None:
    assert Cell.place == "inner"
    assert [term.place for term in parse_attention("hoga+se")] == ["inner", "block"]


def test_runs_only_where_every_node_is_reached() -> None:
    edges = FoundEdges([(1, 0, nn.Identity())])
    cell = Cell(8, 2, edges, "none")
    with pytest.raises(AssertionError, match="no edge reaches node h2"):
        cell(torch.ones(1, 8, 3, 3))


def test_calls_its_edges_source_by_source() -> None:
    seen = list[tuple[int, int]]()

    class Recorder(nn.Module):
        def forward(self, source: int, state: State) -> list:
            groups = state.groups()
            seen.append((source, len(groups)))
            nodes = [1, 2, 3] if source == 0 else range(source + 1, 4)
            return [(node, groups[node - 1 if source == 0 else 0].x) for node in nodes]

    Cell(6, 3, Recorder(), "none")(torch.ones(1, 6, 2, 2))
    assert seen == [(0, 3), (1, 1), (2, 1)]


@pytest.mark.parametrize(("channels", "num_nodes"), [(10, 4), (2, 4), (0, 4), (7, 2)])
def test_channels_have_to_divide(channels: int, num_nodes: int) -> None:
    with pytest.raises(InputError, match=f"^{channels} channels do not split into {num_nodes} equal groups"):
        group_width(channels, num_nodes)


def test_error_names_the_divisors() -> None:
    with pytest.raises(InputError, match=r"a multiple of 4, or a num_nodes among 1, 2, 5, 10$"):
        found_cell(10, PUBLISHED)


def test_unknown_operators_are_named() -> None:
    with pytest.raises(InputError, match="unknown operator 'sep_conv_9x9'; did you mean sep_conv_3x3"):
        found_cell(8, Genotype.of([[("sep_conv_9x9", 0)]]))


def test_edges_are_named_by_their_ends() -> None:
    cell = found_cell(16, PUBLISHED)
    assert isinstance(cell.edges, FoundEdges)
    expected = [edge_name(node, edge.index) for node, edge in PUBLISHED.edges()]
    assert list(cell.edges.operators) == expected
    assert expected[:3] == ["x1_h1", "x2_h2", "h1_h2"]
