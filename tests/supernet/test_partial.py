"""Partial channels, against the definition in plain words."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmarks.measure import saved_bytes
from search_space.operator import OPERATORS, read
from search_space.space import HOGA, Space
from search_space.state import State
from supernet.backbones import build_backbone
from supernet.grouped import to_plain, to_stacked
from supernet.mixed import Mixing, PlainMixedEdges
from supernet.partial import PartialEdges
from supernet.supernet import Supernet
from tests.equality import assert_equal

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE", "sep_conv_3x3"), num_nodes=2)


@pytest.mark.parametrize(("width", "mixed"), [(8, 2), (4, 1), (2, 1), (1, 1), (9, 2)])
def test_a_part_is_mixed_and_the_rest_passes(width: int, mixed: int) -> None:
    torch.manual_seed(0)
    mixing = Mixing()
    edges = PartialEdges(SPACE, width, mixing, 4, PlainMixedEdges).double()
    weights = torch.rand(3, 4, dtype=torch.float64)
    mixing.set(weights)
    x = torch.randn(2, 2 * width, 5, 7, dtype=torch.float64)
    for node, features in edges(0, State(x, 2)):
        own = x[:, (node - 1) * width : node * width]
        row = SPACE.edges.index((node, 0))
        inner = edges.edges
        assert isinstance(inner, PlainMixedEdges)
        operators = inner.operators[f"x{node}_h{node}"].children()
        total = sum(w * read(operator, State(own[:, :mixed])) for w, operator in zip(weights[row], operators))
        expected = torch.cat((weights[row].sum() * own[:, mixed:], torch.as_tensor(total)), 1)
        assert_equal(features, expected)


def test_the_forms_agree() -> None:
    torch.manual_seed(0)
    plain, grouped = (
        Supernet(build_backbone("cifar_resnet8"), HOGA, form, parts=4).double()
        for form in ("plain", "grouped")
    )
    grouped.load_state_dict(to_stacked(plain.state_dict(), grouped))
    images = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    weights = torch.rand(10, 9, dtype=torch.float64)
    results = []
    for supernet in (plain, grouped):
        loss = F.cross_entropy(supernet(images, weights), torch.arange(2))
        parameters = dict(supernet.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        values = to_plain(dict(zip(parameters, gradients)), supernet)
        results.append({"loss": loss} | values | to_plain(supernet.state_dict(), supernet))
    assert_equal(results[1], results[0], through=supernet)


@pytest.mark.parametrize("name", HOGA.candidates)
def test_operators_have_a_form_of_one_channel(name: str) -> None:
    operator = OPERATORS[name].build_for_search(1)
    assert operator(torch.randn(2, 1, 5, 7)).shape == (2, 1, 5, 7)


def test_a_quarter_of_the_channels_saves_a_third_of_the_memory() -> None:
    images = torch.randn(4, 3, 32, 32)
    whole, partial = (
        saved_bytes(lambda: supernet(images))  # noqa: B023
        for supernet in (Supernet(build_backbone("cifar_resnet20"), HOGA, parts=parts) for parts in (1, 4))
    )
    assert partial <= whole * 2 / 3
