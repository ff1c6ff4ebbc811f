"""The supernet: shared alphas, and one-hot mixing equals the network found."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foundation.errors import InputError
from search_space.cell import Cell
from search_space.genotype import PUBLISHED, Fuse, Genotype
from search_space.space import HOGA, Space
from search_space.term import Term
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.families import register_blocks
from supernet.supernet import FORMS, Supernet, copy_weights, one_hot
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled
from tests.strategies import genotypes


def backbone(width: int, num_blocks: tuple[int, ...] = (1, 1)) -> nn.Module:
    return CifarResNet(num_blocks, num_classes=5, in_channels=3, width=width)


def found_network(genotype: Genotype, width: int) -> nn.Module:
    return attach(backbone(width), (Term(name="hoga", genotype=genotype),))


def small(num_nodes: int = 4, fuse: Fuse = "double") -> Space:
    return replace(HOGA, num_nodes=num_nodes, fuse=fuse)


@settings(max_examples=25)
@given(
    genotype=genotypes(every_edge=True, num_nodes=st.integers(1, 4)),
    training=st.booleans(),
    seed=st.integers(0, 99),
)
def test_one_hot_equals_the_network_found(genotype: Genotype, training: bool, seed: int) -> None:
    num_nodes = len(genotype.nodes)
    width = 2 * num_nodes
    space = small(num_nodes, genotype.fuse)
    supernet = scrambled(Supernet(backbone(width), space, "plain"), seed).train(training)
    found = found_network(genotype, width).double().train(training)
    copy_weights(supernet, found, genotype)
    weights = one_hot(space, genotype).double()
    x = image(3, 3, 7, 5, seed=seed)
    assert_equal(supernet(x, weights), found(x), through=supernet)
    # The statistics of the norms moved alike.
    supernet.eval()
    found.eval()
    assert_equal(supernet(x, weights), found(x), through=supernet)


@settings(max_examples=10)
@given(genotypes(num_nodes=st.just(3)))
def test_one_hot_of_fewer_edges_leaves_the_others_out(genotype: Genotype) -> None:
    space = small(3, genotype.fuse)
    supernet = scrambled(Supernet(backbone(6), space, "plain")).eval()
    found = found_network(genotype, 6).double().eval()
    copy_weights(supernet, found, genotype)
    x = image(1, 3, 5, 7)
    expected = supernet(x, one_hot(space, genotype).double())
    assert_equal(found(x), expected, through=supernet)


def test_copied_norms_lose_what_the_supernet_has_not() -> None:
    supernet = scrambled(Supernet(backbone(8), HOGA, "plain")).eval()
    found = scrambled(found_network(PUBLISHED, 8), seed=1).eval()  # affine weights that are not 1 and 0
    copy_weights(supernet, found, PUBLISHED)
    x = image(1, 3, 5, 7)
    expected = supernet(x, one_hot(HOGA, PUBLISHED).double())
    assert_equal(found(x), expected, through=supernet)


def test_copying_leaves_the_supernet_alone() -> None:
    supernet = scrambled(Supernet(backbone(8), HOGA, "plain"))
    before = copy.deepcopy(supernet.state_dict())
    found = found_network(PUBLISHED, 8).double()
    copy_weights(supernet, found, PUBLISHED)
    scrambled(found, seed=7)
    for key, value in supernet.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_weights_that_the_supernet_lacks_are_named() -> None:
    supernet = Supernet(backbone(8), HOGA, "plain")
    deeper = attach(backbone(8, (2, 1)), "hoga")
    with pytest.raises(ValueError, match=r"the supernet has no 'layer1\.1\.conv1\.weight'"):
        copy_weights(supernet, deeper, PUBLISHED)


@pytest.mark.parametrize("form", FORMS)
def test_mixing_is_a_weighted_sum(form: str) -> None:
    space = Space(name="hoga", primitives=("none", "skip_connect", "SE"), num_nodes=1, fuse="none")
    supernet = scrambled(Supernet(nn.Sequential(BasicBlock()), space, form))  # type: ignore[arg-type]
    x = image(2, 4, 5, 7)
    cell = next(module for module in supernet.modules() if isinstance(module, Cell))
    seen = list[torch.Tensor]()
    cell.edges.register_forward_hook(lambda _, __, output: seen.append(output[0][1]))
    corners = torch.eye(3, dtype=x.dtype)
    for row in (*corners, torch.tensor([0.2, 0.3, 0.5], dtype=x.dtype)):
        supernet(x, row[None])
    none, skip, gated, mixed = seen
    torch.testing.assert_close(none, torch.zeros_like(none))
    assert_equal(mixed, 0.3 * skip + 0.5 * gated)


class BasicBlock(nn.Module):
    """A user's own block, with the names that attach knows, without the weights that blur a test."""

    def __init__(self) -> None:
        super().__init__()
        self.bn2 = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(x).mean((2, 3))


register_blocks(BasicBlock, block="bn2")


def test_softmax_of_the_alphas_is_the_default() -> None:
    supernet = scrambled(Supernet(backbone(8), HOGA)).eval()
    x = image(1, 3, 5, 7)
    weights = torch.exp(supernet.alphas) / torch.exp(supernet.alphas).sum(1, keepdim=True)
    assert_equal(supernet.mixing_weights(), weights)
    assert_equal(supernet(x), supernet(x, weights), through=supernet)


def test_one_alpha_matrix_learns_from_all_cells() -> None:
    torch.manual_seed(0)
    supernet = Supernet(backbone(8), HOGA).double()
    assert supernet.alphas.shape == (10, 9)
    assert supernet.alphas.std() < 3e-3
    supernet(image(2, 3, 5, 7)).square().sum().backward()
    assert supernet.alphas.grad is not None
    assert (supernet.alphas.grad.abs().sum(1) > 0).all()
    cells = [module for module in supernet.modules() if isinstance(module, Cell)]
    assert len(cells) == 2
    assert all(parameter.grad is not None for parameter in supernet.weights())


def test_weights_are_all_but_the_alphas() -> None:
    supernet = Supernet(backbone(8), HOGA)
    names = {id(parameter): name for name, parameter in supernet.named_parameters()}
    apart = {names[id(parameter)] for parameter in supernet.weights()}
    assert set(names.values()) - apart == {"alphas"}


def test_alphas_are_saved() -> None:
    first, second = scrambled(Supernet(backbone(8), HOGA)), scrambled(Supernet(backbone(8), HOGA), 1)
    second.load_state_dict(first.state_dict())
    x = image(1, 3, 5, 7)
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert first.derive() == second.derive()


def test_copies_are_independent() -> None:
    supernet = scrambled(Supernet(backbone(8), HOGA)).eval()
    x = image(1, 3, 5, 7)
    before = supernet(x)
    twin = copy.deepcopy(supernet)
    assert torch.equal(twin(x), before)
    scrambled(twin, 3)
    assert torch.equal(supernet(x), before)
    assert not torch.equal(twin(x), before)


@cache
def tiny_supernet() -> Supernet:
    return Supernet(nn.Sequential(BasicBlock()), HOGA)


@given(genotypes(every_edge=True, num_nodes=st.just(4), fuses=st.just("double")))
def test_derives_what_the_alphas_say(genotype: Genotype) -> None:
    alphas = torch.zeros(10, 9)
    for node, edge in genotype.edges():
        strength = 9.0 - [other.source for other in genotype.nodes[node - 1].edges].index(edge.source)
        alphas[HOGA.edges.index((node, edge.index)), HOGA.primitives.index(edge.operator)] = strength
    alphas[:, 0] = 20.0  # none: it makes the softmax's sums alike, so that rows compare as the strengths do
    supernet = tiny_supernet()
    with torch.no_grad():
        supernet.alphas.copy_(alphas)
    assert supernet.derive() == genotype


def test_one_hot_selects() -> None:
    weights = one_hot(HOGA, PUBLISHED)
    assert weights.sum(1).tolist() == [1.0] * 10
    chosen = {edge: HOGA.primitives[int(row.argmax())] for edge, row in zip(HOGA.edges, weights)}
    assert chosen == {(node, edge.index): edge.operator for node, edge in PUBLISHED.edges()}


def test_mixing_weights_are_gone_after_a_pass() -> None:
    supernet = Supernet(backbone(8), HOGA).eval()
    x = torch.ones(1, 3, 5, 7)
    supernet(x)
    with pytest.raises(AssertionError, match="a cell runs only inside its supernet"):
        supernet.network(x)


def test_the_public_search_nets_have_their_weights() -> None:
    # PAPERS 1.5 counts them with gates of reduction 4 and 16, ours have 8 and at least one unit.
    for name, published in (("cifar_resnet20", 396_206), ("cifar_resnet34", 1_840_976)):
        supernet = Supernet(build_backbone(name), HOGA)
        cells = [module for module in supernet.modules() if isinstance(module, Cell)]
        ours = sum(num_parameters(cell.group_gate) + num_parameters(cell.output_gate) for cell in cells)
        public = 0
        for cell in cells:
            c = cell.output_gate.squeeze.in_features
            public += 2 * (c // 4) * (c // 4 // 4) + 2 * c * (c // 16)
        assert num_parameters(supernet.network) - ours + public == published


def test_channels_have_to_divide() -> None:
    plain = backbone(6)
    keys = set(plain.state_dict())
    with pytest.raises(InputError, match=r"^6 channels do not split into 4 equal groups"):
        Supernet(plain, HOGA)
    assert set(plain.state_dict()) == keys
