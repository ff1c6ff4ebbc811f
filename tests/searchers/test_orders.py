"""The alphas' gradient through a step of the weights, against double backward through that step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import OPERATORS
from search_space.space import Space
from searchers.darts import Darts
from searchers.guards import Guards
from searchers.searches.unrolled import Unrolled
from supernet.backbones.cifar_resnet import CifarResNet
from tests.equality import assert_equal
from tests.searchers.problems import small_problem

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE", "sep_conv_3x3", "CBAM"), num_nodes=2)
SKIPS = Space(name="own", primitives=("none", "skip_connect", "SE"), num_nodes=1)
ATTENTION = Space(name="own", primitives=("skip_connect", "ga:1111", "aa"), num_nodes=2)


def begun(order, space=SPACE, form="grouped", *, steps=2, dampening=0.0, backbone=None, **settings):
    """A search after some steps: the momentum is not zero any more."""
    settings = {"epochs": 3, "batch_size": 6, "learning_rate": 0.1} | settings
    changes = {} if backbone is None else {"backbone": backbone}
    problem = small_problem(form=form, space=space, num_images=36, **changes)
    search = Darts(order=order, **settings).start(problem)
    search.updates.weight_optimizer.param_groups[0]["dampening"] = dampening
    for _ in range(steps):
        search.advance()
    return search


def batches(search):
    return search.weight_batches.batch(0, 2), search.alpha_batches.batch(0, 2)


def gradient(search, *, exact):
    training, held = batches(search)
    unrolled = Unrolled(search.updates, training, exact=exact)
    loss, _ = unrolled.loss(held)
    (gradient,) = unrolled.gradients(loss)
    return gradient


def literal_gradients(search):
    """Double backward through the step of torch.optim.SGD written out; and without its second term."""
    (images, labels), (held, held_labels) = batches(search)
    supernet = copy.deepcopy(search.supernet)
    names = [name for name, _ in supernet.named_parameters() if name != "alphas"]
    weights = supernet.weights()
    (group,) = search.updates.weight_optimizer.param_groups
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = F.cross_entropy(supernet(images), labels)
        slopes = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        stepped = {}
        for name, w, parameter, slope in zip(names, weights, search.updates.parameters, slopes):
            # Algorithm of torch.optim.SGD's documentation, its names.
            g = slope
            if group["weight_decay"] != 0:
                g = g + group["weight_decay"] * w
            if group["momentum"] != 0:
                state = search.updates.weight_optimizer.state.get(parameter, {})
                if "momentum_buffer" in state:
                    b = group["momentum"] * state["momentum_buffer"] + (1 - group["dampening"]) * g
                else:
                    b = g
                g = g + group["momentum"] * b if group["nesterov"] else b
            stepped[name] = w - group["lr"] * g
        fixed = {name: w.detach() for name, w in stepped.items()}
        return [
            torch.autograd.grad(
                F.cross_entropy(functional_call(supernet, at, (held,)), held_labels), supernet.alphas
            )[0]
            for at in (stepped, fixed)
        ]


@pytest.mark.parametrize(
    ("space", "form"), [(SPACE, "plain"), (SPACE, "grouped"), (ATTENTION, "grouped")], ids=str
)
def test_second_order_is_double_backward_through_the_step(space, form):
    search = begun("second", space, form)
    expected, without_second_term = literal_gradients(search)
    assert (expected - without_second_term).norm() > 0.01 * expected.norm()
    assert_equal(gradient(search, exact=True), expected, through=search.supernet)


def test_the_finite_difference_is_an_estimate_of_it(monkeypatch):
    search = begun("second")
    expected, without_second_term = literal_gradients(search)
    size = (expected - without_second_term).norm()
    monkeypatch.setattr("searchers.searches.unrolled.RADIUS", 1e-6)
    assert (gradient(search, exact=False) - expected).norm() < 1e-3 * size
    monkeypatch.setattr("searchers.searches.unrolled.RADIUS", 1e-2)
    assert (gradient(search, exact=False) - expected).norm() > 0.1 * size  # the public radius is far off here


@pytest.mark.parametrize("exact", [True, False])
def test_unrolling_leaves_weights_and_statistics(exact):
    search = begun("second")
    before = copy.deepcopy(search.state_dict())
    gradient(search, exact=exact)
    after = search.state_dict()
    for name, value in before["supernet"].items():
        assert torch.equal(value, after["supernet"][name]), name
    for old, new in zip(
        before["weight_optimizer"]["state"].values(), after["weight_optimizer"]["state"].values()
    ):
        assert torch.equal(old["momentum_buffer"], new["momentum_buffer"])


def one_block():
    """The smallest network that holds a cell."""
    return CifarResNet([1], num_classes=3, in_channels=3, width=8)


@pytest.mark.parametrize("steps", [0, 2], ids=["first", "later"])
@pytest.mark.parametrize(
    ("momentum", "nesterov", "dampening"),
    [(0.0, False, 0.0), (0.0, False, 0.3), (0.9, False, 0.0), (0.9, False, 0.3), (0.9, True, 0.0)],
)  # all that torch.optim.SGD takes: nesterov needs a momentum and no dampening
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_the_unrolled_step_is_the_one_that_sgd_takes(
    steps, momentum, nesterov, dampening, decay, monkeypatch
):
    search = begun(
        "first",
        SKIPS,
        backbone=one_block,
        steps=steps,
        dampening=dampening,
        clip=0.0,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=decay,
    )
    expected, without_second_term = literal_gradients(search)
    size = (expected - without_second_term).norm()
    assert size > 0.01 * expected.norm()
    assert_equal(gradient(search, exact=True), expected, through=search.supernet)
    monkeypatch.setattr("searchers.searches.unrolled.RADIUS", 1e-6)
    assert (gradient(search, exact=False) - expected).norm() < 1e-3 * size
    training, _ = batches(search)
    stepped = Unrolled(search.updates, training, exact=False).stepped
    search.updates.update_weights(*training)
    assert_equal(stepped, search.updates.parameters, through=search.supernet)


def test_a_step_of_nothing_has_no_second_term():
    search = begun("first", SKIPS, backbone=one_block)
    search.updates.weight_optimizer.param_groups[0]["lr"] = 0.0
    assert bool(gradient(search, exact=False).isfinite().all())


def test_orders_move_the_alphas_apart():
    ends = [begun(order).supernet.alphas for order in ("first", "second", "finite_difference")]
    assert not torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[1], ends[2])


def test_operators_without_second_derivatives_are_refused():
    space = Space(name="own", primitives=("skip_connect", "dcn"), num_nodes=2)
    with pytest.raises(InputError, match="order=second needs second derivatives, and 'dcn' has none"):
        Darts(order="second").start(small_problem(space=space))
    with pytest.raises(InputError, match=r"guards\.curvature_every needs second derivatives"):
        Darts(guards=Guards(curvature_every=1)).start(small_problem(space=space))
    begun("finite_difference", space)


@pytest.mark.parametrize(
    "settings",
    [{"order": "second"}, {"order": "finite_difference"}, {"guards": Guards(curvature_every=1)}],
    ids=["second", "finite_difference", "curvature"],
)
def test_blocks_that_are_computed_again_are_refused_where_other_weights_are_tried(settings):
    with pytest.raises(InputError, match=r"which cannot be computed again; leave out recompute"):
        Darts(**settings).start(small_problem(recompute=True))


@pytest.mark.parametrize("settings", [{"order": "second"}, {"guards": Guards(curvature_every=1)}], ids=str)
def test_compiled_blocks_are_refused_where_second_derivatives_are_needed(settings):
    with pytest.raises(InputError, match="compiled blocks have none; leave out compile"):
        Darts(**settings).start(small_problem(compile=True))


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_say_whether_they_have_second_derivatives(name):
    recipe = OPERATORS[name]
    torch.manual_seed(0)
    operator = recipe.build(8).double()
    for parameter in operator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # those that begin as the identity hide their inside
    x = torch.randn(2, 8, 6, 5, dtype=torch.float64, requires_grad=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        (slope,) = torch.autograd.grad(operator(x).square().sum(), [x], create_graph=True)
        if recipe.twice_differentiable:
            torch.autograd.grad(slope.square().sum(), [x])
        else:
            with pytest.raises(RuntimeError, match=r"double backwards|derivative for .* is not implemented"):
                torch.autograd.grad(slope.square().sum(), [x])
