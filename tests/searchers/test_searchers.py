"""What every searcher promises; a new one is covered the moment that it is registered."""

import dataclasses
from dataclasses import replace

import pytest
import torch

from evaluators.cost_table import CostTable
from foundation.config import parse
from foundation.errors import InputError
from searchers import SEARCHERS
from searchers.limits import Limits, parse_target
from searchers.searches.trained import TrainedSearch
from searchers.searches.zero_cost import ZeroCostSearch
from tests.searchers.problems import small_problem

SMALL = {"epochs": 2, "trials": 2, "batch_size": 10}
"""Settings that make a searcher short, where it has them."""


def short(name):
    config = SEARCHERS[name]
    fields = {field.name for field in dataclasses.fields(config)}
    return config(**{key: value for key, value in SMALL.items() if key in fields})


@pytest.fixture(params=list(SEARCHERS))
def config(request):
    return short(request.param)


def advance(search, num_steps):
    for _ in range(num_steps):
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            search.report()
    return search


def flat(state, prefix=""):
    """Leaves of a nested state by path, tensors as they are."""
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    else:
        return {prefix: state}
    return {path: leaf for key, value in items for path, leaf in flat(value, f"{prefix}/{key}").items()}


def assert_equal_states(a, b):
    a, b = flat(a), flat(b)
    assert a.keys() == b.keys()
    for path, value in a.items():
        same = torch.equal(value, b[path]) if isinstance(value, torch.Tensor) else value == b[path]
        assert same, path


def test_there_is_an_answer_at_every_step(config):
    problem = small_problem()
    search = config.start(problem)
    for step in range(search.total_steps):
        assert search.step == step
        problem.space.check(search.genotype())
        advance(search, 1)
    assert search.step == search.total_steps
    problem.space.check(search.genotype())


def test_the_same_seed_gives_the_same_answer_and_another_seed_another_path(config):
    one, two, other = (config.start(small_problem(seed, num_images=40)) for seed in (3, 3, 4))
    for search in (one, two, other):
        advance(search, search.total_steps)
    assert one.genotype() == two.genotype()
    assert_equal_states(one.state_dict(), two.state_dict())
    with pytest.raises(AssertionError):
        assert_equal_states(one.state_dict(), other.state_dict())


@pytest.mark.parametrize("form", ["plain", "grouped"])
def test_a_search_that_stops_and_goes_on_ends_where_it_would_have(config, form, tmp_path):
    problem = small_problem(form=form, num_images=40)
    whole = config.start(problem)
    stops = (1, whole.steps_per_epoch, whole.steps_per_epoch + 1)
    resumed = config.start(problem)
    for stop in stops:
        torch.save(advance(resumed, stop - resumed.step).state_dict(), tmp_path / "state.pt")
        torch.manual_seed(99)  # what else happened in the new process
        resumed = config.start(problem)
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert resumed.step == stop
    advance(resumed, resumed.total_steps - resumed.step)
    advance(whole, whole.total_steps)
    assert resumed.genotype() == whole.genotype()
    assert_equal_states(resumed.state_dict(), whole.state_dict())


def test_reports_are_finite_numbers_and_shares_are_distributions(config):
    search = config.start(small_problem())
    for _ in range(search.steps_per_epoch):
        search.advance()
    figures = search.report()
    assert figures
    assert all(isinstance(value, float) and abs(value) < float("inf") for value in figures.values())
    shares = search.shares()
    if shares is not None:
        assert set(shares) == set(small_problem().space.rows)
        assert all(abs(sum(row.values()) - 1) < 1e-9 for row in shares.values())


def test_a_loss_that_is_not_finite_is_named_with_its_step_and_rate(config):
    search = config.start(small_problem())
    advance(search, 1)
    state = search.state_dict()

    def poison(value):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 1:
            value.fill_(float("nan"))

    for path, leaf in flat(state).items():
        if "figures" not in path and "running" not in path:
            poison(leaf)
    search.load_state_dict(state)
    search.advance()
    if isinstance(search, TrainedSearch | ZeroCostSearch):  # whose candidate fails alone: see test_diverging
        search.check()
        return
    with pytest.raises(InputError, match=r"the loss is not finite at step 1 \(learning rate 0\."):
        search.check()


def test_what_is_returned_keeps_the_limits(config):
    costs = {"skip_connect": 1.0, "SE": 2.0, "sep_conv_3x3": 3.0}
    quick = {name: 0.1 / cost for name, cost in costs.items()}
    problem = small_problem()
    limits = Limits(
        problem.space,
        parse_target("macs<=1.4x,latency<=1.9x"),
        {
            "macs": CostTable(plain=10, fixed=0, operators=costs),
            "latency": CostTable(plain=1, fixed=1, operators=quick),
        },
    )
    search = config.start(replace(problem, limits=limits, penalty=limits.penalty()))
    while search.step < search.total_steps:
        assert limits.allows(search.genotype())
        advance(search, 1)
    assert limits.allows(search.genotype())


def test_unknown_options_are_refused(config):
    with pytest.raises(InputError, match=rf"{config.name}: epocs: unknown key"):
        parse(type(config), {"epocs": 3}, config.name)


def test_fewer_images_than_a_batch_are_refused(config):
    with pytest.raises(InputError, match="do not fill a batch of 10"):
        config.start(small_problem(num_images=18))


def test_channels_that_do_not_divide_are_refused(config):
    with pytest.raises(InputError, match="6 channels do not split into 4 equal groups"):
        config.start(small_problem(width=6))


def test_every_config_documents_itself(config):
    assert config.__doc__
    assert config.name in SEARCHERS
