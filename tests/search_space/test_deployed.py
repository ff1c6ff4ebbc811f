"""A deployed cell is its cell: values and gradients, for any genotype, in every form."""

from __future__ import annotations

import dataclasses
import random
from typing import cast, get_args

import pytest
import torch
from torch import nn

from search_space.cell import Cell
from search_space.composed import COMPOSED, FOLDS, composed_form, fold_norms
from search_space.convolution import ConvolutionOperator
from search_space.deployed import DeployedCell
from search_space.found_cell import found_cell
from search_space.genotype import Fuse, Genotype, Node
from search_space.norm import OperatorNorm
from search_space.operator import OPERATORS
from search_space.side_by_side import Form
from search_space.space import HOGA, HOGA_WIDE
from tests.modules import image, scrambled

FORMS = cast("tuple[Form, ...]", get_args(Form))

SIZES = [(1, 5, 7), (2, 1, 1), (1, 8, 8), (3, 9, 4)]


def drawn(seed: int) -> Genotype:
    """A random genotype: every third of the wide space, every fourth with edges left out, of any fuse."""
    rng = random.Random(seed)
    genotype = (HOGA_WIDE if seed % 3 == 2 else HOGA).sample(rng)
    nodes = genotype.nodes
    if seed % 4 == 3:
        nodes = tuple(
            dataclasses.replace(node, edges=tuple(rng.sample(node.edges, rng.randint(1, len(node.edges)))))
            for node in nodes
        )
    return dataclasses.replace(genotype, nodes=nodes, fuse=rng.choice(get_args(Fuse)))


def cell_of(genotype: Genotype, channels: int = 16, seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    return scrambled(found_cell(channels, genotype), seed).eval()


def assert_deployed(cell: Cell, form: Form, x: torch.Tensor) -> None:
    """Values and the gradient of the input agree to 1e-10 of the largest entry."""
    results = []
    for module in (cell, DeployedCell(cell, form)):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        y = module(given)
        (gradient,) = torch.autograd.grad((y * image(*y.shape, seed=9)).sum(), given)
        results.append((y, gradient))
    for expected, ours in zip(*results):
        assert (ours - expected).abs().max() <= 1e-10 * expected.abs().max()


def assert_equal_everywhere(seed: int) -> None:
    cell = cell_of(drawn(seed), seed=seed)
    form = FORMS[seed % len(FORMS)]
    b, h, w = SIZES[seed // 2 % len(SIZES)]
    x = image(b, 16, h, w, seed=seed)
    assert_deployed(cell, form, x)
    assert_deployed(cell, form, x.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_cell(seed: int) -> None:
    assert_equal_everywhere(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 230))
def test_equals_the_cell_of_more_genotypes(seed: int) -> None:
    assert_equal_everywhere(seed)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("operator", HOGA.candidates)
def test_equals_a_cell_of_one_operator(operator: str, form: Form) -> None:
    """Every state has several readers of one kind."""
    cell = cell_of(HOGA.genotype([operator] * len(HOGA.edges)))
    assert_deployed(cell, form, image(2, 16, 6, 5))


@pytest.mark.parametrize("form", FORMS)
def test_a_node_that_is_a_state_is_read_as_that_state(form: Form) -> None:
    nodes = [
        [("skip_connect", 0)],
        [("skip_connect", 1)],
        [("sep_conv_3x3", 2), ("SE", 1), ("CBAM", 0)],
        [("skip_connect", 3)],
    ]
    cell = cell_of(Genotype.of(nodes))
    deployed = DeployedCell(cell, form)
    assert deployed.sources == [0, 3]
    assert_deployed(cell, form, image(2, 16, 5, 7))


@pytest.mark.parametrize("num_nodes", [1, 2, 3])
def test_cells_of_other_sizes(num_nodes: int) -> None:
    space = dataclasses.replace(HOGA, name="own", num_nodes=num_nodes)
    genotype = space.sample(random.Random(num_nodes))
    assert_deployed(cell_of(genotype, 2 * num_nodes), "composed", image(1, 2 * num_nodes, 5, 7))


def test_what_has_no_composed_form_is_named() -> None:
    edges = [[("simam", 0)], [("ga:0010", 0), ("coordinate", 1)], [("SE", 0)], [("triplet", 3)]]
    cell = cell_of(Genotype.of(edges, space="hoga_wide"))
    deployed = DeployedCell(cell)
    assert deployed.left == [
        "x1_h1 SimAM",
        "x2_h2 GeneralizedAttention",
        "h1_h2 CoordinateAttention",
        "h3_h4 TripletAttention",
    ]
    assert not [module for module in deployed.modules() if isinstance(module, OperatorNorm)]
    assert_deployed(cell, "composed", image(2, 16, 5, 7))


def test_the_cell_stays_as_it_is() -> None:
    genotype = Genotype(space="hoga_wide", nodes=(Node(name="h1", edges=drawn(2).nodes[0].edges),))
    cell = cell_of(genotype)
    before = {name: value.clone() for name, value in cell.state_dict().items()}
    DeployedCell(cell)
    assert list(cell.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in cell.state_dict().items())


def test_nothing_learns() -> None:
    deployed = DeployedCell(cell_of(drawn(0)))
    assert list(deployed.parameters())
    assert not any(parameter.requires_grad for parameter in deployed.parameters())


@pytest.mark.parametrize("name", list(OPERATORS))
def test_folded_norms_change_nothing(name: str) -> None:
    module = scrambled(OPERATORS[name].build(8)).eval()
    num_norms = sum(isinstance(inner, OperatorNorm) for inner in module.modules())
    x = image(2, 8, 5, 7)
    with torch.no_grad():
        expected = module(x)
        assert fold_norms(module) == num_norms
        assert (module(x) - expected).abs().max() <= 1e-10 * expected.abs().max()


def test_every_operator_of_the_space_has_a_composed_form() -> None:
    for name in HOGA.candidates:
        assert composed_form(OPERATORS[name].build(8).eval()) is not None
    assert all(issubclass(kind, nn.Module) for kind in (*COMPOSED, *FOLDS))


def test_a_convolution_operator_on_an_edge_is_folded() -> None:
    cell = cell_of(Genotype.of([[("aw", 0)]], space="own"), 8)
    deployed = DeployedCell(cell)
    assert any(isinstance(module, ConvolutionOperator) for module in deployed.modules())
    assert_deployed(cell, "composed", image(2, 8, 5, 7))
