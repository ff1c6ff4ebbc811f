"""A search in a user's own loop."""

import copy

import pytest
import torch
from torch import nn

import autola
from foundation.errors import InputError
from searchers import SEARCHERS
from searchers.settings import Differentiable
from supernet.attach import attach, attached
from supernet.backbones import build_backbone
from tests.equality import assert_equal
from tests.searchers.test_searchers import assert_equal_states

DIFFERENTIABLE = [
    name for name in SEARCHERS if issubclass(SEARCHERS[name], Differentiable) and name != "pc_darts"
]


def net(seed=0):
    torch.manual_seed(seed)
    return build_backbone("cifar_resnet8", num_classes=3, in_channels=3, width=4)


def batches(count=12, size=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 3, 7, 5, generator=random), torch.randint(0, 3, (size,), generator=random))
        for _ in range(count)
    ]


def cross_entropy(model, batch):
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


def begun(model=None, **settings):
    return autola.searching(model or net(), **{"steps": 8, "space": ("none", "se", "coordinate")} | settings)


def run(search, steps, seed=0):
    train, held = batches(seed=seed), batches(seed=seed + 1)
    for number in range(search.step_number, steps):
        search.step(cross_entropy, train[number], held[number])
    return search


def test_the_output_is_that_of_the_plain_model_at_first():
    (images, _), *_ = batches()
    search = begun()
    assert torch.equal(search.model(images), net()(images))


@pytest.mark.parametrize("searcher", DIFFERENTIABLE)
def test_it_derives_the_plain_model_with_what_was_found_and_its_weights(searcher):
    model = net()
    search = run(begun(model, searcher=searcher), 8)
    found, derived = search.found(), search.derive()
    assert {place.place: place.attention for place in attached(derived)} == {
        standing.site: standing.attention for standing in found.taken()
    }
    weights = derived.state_dict()
    assert torch.equal(weights["fc.weight"], search.model.state_dict()["fc.weight"])
    assert not torch.equal(weights["fc.weight"], net().state_dict()["fc.weight"])
    attach(net(), found).load_state_dict(weights)
    copy.deepcopy(derived)


def test_the_weights_learn_in_a_plain_optimizer_too():
    search = begun()
    optimizer = torch.optim.Adam(search.model.parameters(), lr=0.01)
    alphas = search.shares()
    for train, held in zip(batches(8), batches(8, seed=1)):
        search.choose(cross_entropy, held)
        optimizer.zero_grad()
        cross_entropy(search.model, train).backward()
        optimizer.step()
    assert search.shares() != alphas
    assert sum(search.shares()["layer1.0.bn2"].values()) == pytest.approx(1)
    search.derive()


def test_a_stored_search_goes_on_to_the_same_bits(tmp_path):
    whole = run(begun(searcher="gdas"), 8)
    stopped = run(begun(searcher="gdas"), 5)
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    torch.manual_seed(7)
    again = begun(net(9), searcher="gdas")
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    (images, _), *_ = batches()
    assert torch.equal(again.model.eval()(images), stopped.model.eval()(images))
    again.model.train()
    run(again, 8)
    assert_equal_states(again.state_dict(), whole.state_dict())
    with pytest.raises(InputError, match="over other sites or candidates"):
        begun(space=("none", "eca")).load_state_dict(whole.state_dict())


def test_the_users_random_numbers_and_modes_stay():
    model = net()
    norm = model.get_submodule("layer2.0.bn1").eval()
    search = begun(model)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(search, 3)
    assert torch.equal(torch.rand(3), expected)
    assert not norm.training
    assert model.training


def test_what_is_frozen_stays_and_the_candidates_learn():
    model = net().requires_grad_(False).eval()
    before = copy.deepcopy(model.state_dict())
    search = run(begun(model), 8)
    after = search.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert any(weight.requires_grad for weight in search.model.parameters())


def test_a_target_is_kept_whatever_the_loss_asks_for():
    plain = sum(weight.numel() for weight in net().parameters())
    search = begun(target=f"params<={plain + 30}", input_shape=(3, 7, 5))
    run(search, 8)
    assert sum(weight.numel() for weight in search.derive().parameters()) <= plain + 30


def test_any_network_with_named_sites_will_do():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(60, 3))
    model.double()
    search = begun(model, sites=["1"])
    double = [(images.double(), labels) for images, labels in batches(8)]
    for train, held in zip(double, reversed(double)):
        search.step(cross_entropy, train, held)
    derived = search.derive().eval()
    (images, _), *_ = batches()
    site = search.found().attentions["1"]
    weights = torch.tensor([[float(name == site) for name in search.space.primitives]], dtype=torch.float64)
    search._supernet.rest(weights)
    assert_equal(search.model.eval()(images.double()), derived(images.double()), through=derived)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.norm(x)).mean((2, 3))


def test_a_loss_may_have_axes_of_one_element():
    train, held = batches(2)
    searches = begun(), begun()
    for search, axes in zip(searches, ((), (1, 1))):
        search.step(lambda model, batch: cross_entropy(model, batch).reshape(axes), train, held)  # noqa: B023
    one, other = (search.shares() for search in searches)
    assert one == other


def test_what_makes_no_sense_is_refused_in_a_line():
    train = batches(1)[0]
    with pytest.raises(InputError, match="not one number; take its mean"):
        begun().step(lambda model, batch: model(batch[0]), train, train)
    with pytest.raises(InputError, match="a float, not one number"):
        begun().step(lambda model, batch: 1.0, train, train)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="does not depend on the model"):
        begun().step(lambda model, batch: batch[0].mean(), train, train)
    with pytest.raises(InputError, match="the batches differ in form"):
        begun().step(cross_entropy, train, {"images": train[0]})
    with pytest.raises(InputError, match="comes by site 'norm' 2 times"):
        begun(Twice(), sites=["norm"]).step(cross_entropy, train, train)
    with pytest.raises(InputError, match="has no residual block"):
        begun(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(InputError, match="random judges one candidate after another"):
        begun(searcher="random")
    with pytest.raises(InputError, match="give input_shape"):
        begun(target="params<=1.1x")
    with pytest.raises(InputError, match="no placement has params"):
        begun(target="params<=0.5x", input_shape=(3, 7, 5))
    with pytest.raises(InputError, match="moves weights and choice in one step"):
        begun(searcher="snas").choose(cross_entropy, train)
    with pytest.raises(InputError, match="the search of 8 steps is over"):
        run(begun(), 9)


def test_a_loss_without_gradients_is_told_at_the_first_step():
    train = batches(1)[0]

    @torch.no_grad()
    def without(model, batch):
        return cross_entropy(model, batch)

    for wrong in (without, lambda model, batch: cross_entropy(model, batch).detach()):
        with pytest.raises(InputError, match="does not depend on the model"):
            begun().choose(wrong, train)


def test_a_step_where_gradients_are_off_is_the_same_or_refused():
    train = batches(1)[0]
    wanted, search = run(begun(), 4), begun()
    with torch.no_grad():
        run(search, 4)
    assert_equal_states(search.state_dict(), wanted.state_dict())
    assert search._supernet.alphas.std() > 2e-3  # they moved
    with torch.inference_mode(), pytest.raises(InputError, match="take the step outside of it"):
        begun().choose(cross_entropy, train)


def test_where_nothing_can_learn_is_told():
    frozen = net().requires_grad_(False)
    with pytest.raises(InputError, match="none, simam have no weights"):
        begun(frozen, space=("none", "simam"))
    assert not attached(frozen)
    search = begun(frozen)
    search.model.requires_grad_(False)
    with pytest.raises(InputError, match="no weight of the model learns"):
        search.step(cross_entropy, batches(1)[0], batches(1)[0])


def test_a_model_that_is_wrapped_already_is_refused():
    with pytest.raises(InputError, match="DataParallel was made of the model as it was"):
        begun(nn.DataParallel(net()))


def test_a_refused_model_is_as_it_was():
    model = net()
    keys = list(model.state_dict())
    for wrong in ({"space": ("none", "aw")}, {"sites": ["nowhere"]}, {"searcher": "pc_darts"}):
        with pytest.raises(InputError):
            begun(model, **wrong)
    assert list(model.state_dict()) == keys
    assert not attached(model)
