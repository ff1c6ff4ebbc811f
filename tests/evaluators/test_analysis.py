"""What a trained network learnt: against literal computations, and captum's own, in float64."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from evaluators.analysis.edges import cell_edges, without_edge
from evaluators.analysis.features import embedded
from evaluators.analysis.gates import gates_seen, has_gates
from evaluators.analysis.saliency import grad_cam, guided_backpropagation
from evaluators.analysis.selectivity import ClassMeans, selectivity
from evaluators.analysis.stages import maps_of, stages_of
from foundation.errors import InputError
from search_space.genotype import PUBLISHED, Genotype, Node
from supernet.attach import attach
from supernet.backbones import build_backbone
from tests.modules import image, scrambled


class Plain(nn.Module):
    """A network as captum wants it: every ReLU a module of its own, not in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.hidden, self.relu, self.fc = nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)

    def forward(self, x):
        return self.fc(self.relu(self.hidden(self.layer2(self.layer1(x)).mean((2, 3)))))


class Functional(Plain):
    """The same network, its ReLUs functions, methods and in place."""

    def forward(self, x):
        y = F.relu(self.layer1[1](self.layer1[0](x)), inplace=True)
        y = self.layer2[1](self.layer2[0](y)).relu_()
        return self.fc(self.hidden(y.mean((2, 3))).relu())


def literal(activity, labels):
    """The index of every channel, from (n, c, h, w), in plain Python."""
    found = []
    for channel in range(activity.shape[1]):
        by_class = {}
        for x, label in zip(activity, labels.tolist()):
            by_class.setdefault(label, []).append(float(np.mean([max(v, 0.0) for v in x[channel].flatten()])))
        means = sorted(sum(each) / len(each) for each in by_class.values())
        rest = sum(means[:-1]) / (len(means) - 1)
        found.append((means[-1] - rest) / (means[-1] + rest) if means[-1] + rest else float("nan"))
    return found


def test_selectivity_is_the_literal_one_whatever_the_batches():
    maps, labels = image(23, 6, 5, 7), torch.arange(23) % 4
    labels[labels == 2] = 5  # two classes of the seven have no image
    maps[:, 3] = -1.0  # a silent channel
    maps[:, 4] = (labels == 5).double()[:, None, None]  # one class alone
    expected = np.array(literal(maps.numpy(), labels))
    for size in (1, 5, 23):
        means = ClassMeans(7)
        for start in range(0, 23, size):
            means.add(maps[start : start + size], labels[start : start + size])
        found = selectivity(means.means()).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    assert found[4] == 1
    assert np.isnan(found[3])


def test_one_class_has_no_selectivity():
    means = ClassMeans(3)
    means.add(image(2, 4, 5, 7), torch.tensor([1, 1]))
    with pytest.raises(InputError, match="images of 1"):
        selectivity(means.means())


@pytest.mark.parametrize("batch", [1, 3])
def test_saliency_is_captums_own_on_a_plain_network(batch):
    captum = pytest.importorskip("captum.attr")
    network = scrambled(Plain()).eval()
    images, classes = image(batch, 3, 5, 7), torch.arange(batch) + 1
    theirs = captum.LayerGradCam(network, network.layer2).attribute(images, target=classes)
    assert torch.equal(grad_cam(network, network.layer2, images, classes), theirs[:, 0].detach().relu())
    pixels = images.clone().requires_grad_()
    with pytest.warns(UserWarning, match="backward hooks"):
        guided = captum.GuidedBackprop(network).attribute(pixels, target=classes).detach()
    for twin in (network, copy.deepcopy(network)):
        twin.__class__ = Plain if twin is network else Functional
        ours = guided_backpropagation(twin, images, classes)
        assert (ours - guided).abs().max() <= 1e-13 * guided.abs().max()
    assert guided.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_grad_cam_is_the_papers_formula_in_a_network_with_attention():
    plain = build_backbone("cifar_resnet8", num_classes=4, in_channels=3, width=None)
    network: Any = attach(plain, "hoga")
    scrambled(network).train()
    images, classes = image(2, 3, 9, 14), torch.tensor([3, 0])
    ours = grad_cam(network, network.layer3, images, classes)
    assert network.training, "the mode is as it was"
    maps = {}
    network.eval()
    with maps_of({"layer3": network.layer3}, maps.__setitem__):
        logits = network(images)
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps["layer3"])
    expected = (gradient.mean((2, 3), keepdim=True) * maps["layer3"]).sum(1).relu()
    assert (ours - expected).abs().max() <= 1e-13 * expected.abs().max()


def test_without_relu_nothing_is_guided():
    with pytest.raises(InputError, match="no ReLU"):
        guided_backpropagation(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.ones(1, 4), torch.tensor([0])
        )


def test_recorded_factors_are_what_the_maps_are_multiplied_by():
    plain = build_backbone("cifar_resnet8", num_classes=4, in_channels=3, width=None)
    network: Any = attach(plain, "se+cbam")
    scrambled(network).eval()
    assert has_gates(network)
    before = network(image(1, 3, 9, 14))
    pairs = []
    attention = network.layer2[0].bn2_attention
    handle = attention.register_forward_hook(lambda module, args, output: pairs.append((args[0], output)))
    with gates_seen(network) as found:
        during = network(image(1, 3, 9, 14))
    handle.remove()
    assert torch.equal(before, during)
    ours = {gate.gate: gate for gate in found if gate.site == "layer2.0.bn2"}
    assert [gate.reach for gate in ours.values()] == ["channels", "channels", "positions"]
    assert {gate.size for gate in ours.values()} == {(5, 7)}
    se, channel, spatial = ours.values()
    ((x, y),) = pairs
    expected = x[0] * (se.channels * channel.channels)[:, None, None] * spatial.map
    assert (y[0] - expected).abs().max() <= 1e-13 * y.abs().max()
    with gates_seen(network) as again:
        pass
    network(image(1, 3, 9, 14))
    assert again == [], "what was watched is no longer"


def lacking(genotype: Genotype, node: int, source: str) -> Genotype:
    nodes = list(genotype.nodes)
    edges = tuple(edge for edge in nodes[node - 1].edges if edge.source != source)
    nodes[node - 1] = Node(name=f"h{node}", edges=edges)
    return replace(genotype, nodes=tuple(nodes))


def test_a_network_without_an_edge_is_that_of_the_genotype_without_it():
    def build(genotype):
        plain = build_backbone("cifar_resnet8", num_classes=4, in_channels=3, width=None)
        return attach(plain, genotype).double().eval()

    network, x = scrambled(build(PUBLISHED)).eval(), image(2, 3, 9, 14)
    whole, edges = network(x), cell_edges(network)
    assert [(edge.source, edge.node) for edge in edges] == [
        (edge.source, f"h{node}") for node, edge in PUBLISHED.edges()
    ]
    for edge in edges:
        node = int(edge.node[1:])
        with without_edge(network, edge):
            less = network(x)
        assert not torch.equal(less, whole)
        if len(PUBLISHED.nodes[node - 1].edges) > 1:
            other = build(lacking(PUBLISHED, node, edge.source))
            kept = {name: value for name, value in network.state_dict().items() if name in other.state_dict()}
            other.load_state_dict(kept)
            assert (less - other(x)).abs().max() <= 1e-12 * whole.abs().max()
    assert torch.equal(network(x), whole)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("cifar_resnet8", ["layer1", "layer2", "layer3"]),
        ("timm:convnext_atto", ["stages.0", "stages.1", "stages.2", "stages.3"]),
        ("timm:regnetx_002", ["stem", "s1", "s2", "s3", "final_conv"]),
    ],
)
def test_stages_are_found_by_name_or_by_the_sizes_of_maps(name, stages):
    extra = {"in_channels": 3, "width": None} if name.startswith("cifar") else {}
    network = build_backbone(name, num_classes=4, **extra)
    assert list(stages_of(network, torch.zeros(1, 3, 64, 64))) == stages


def test_an_embedding_is_the_same_again_and_needs_images():
    features = torch.cat([image(12, 5), image(12, 5, seed=1) + 20])
    xy = embedded(features)
    assert xy.shape == (24, 2)
    assert np.array_equal(xy, embedded(features))
    apart = np.linalg.norm(xy[:12].mean(0) - xy[12:].mean(0))
    assert apart > xy[:12].std() + xy[12:].std()
    with pytest.raises(InputError, match="10 at least"):
        embedded(features[:9])
