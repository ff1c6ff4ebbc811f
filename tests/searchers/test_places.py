"""Every searcher on placements: the same promises as on cells."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.measure import count_calls
from evaluators.cost import macs, params
from evaluators.cost_table import Metric
from evaluators.place_costs import PlaceTable, place_table
from foundation.errors import InputError
from search_space.placement import Placement
from searchers import SEARCHERS
from searchers.limits import Limits, parse_target
from supernet.attach import attach
from supernet.placing import PlacesSupernet, places_of
from supernet.supernet import one_hot
from tests.equality import assert_equal
from tests.searchers.places import backbone, places_problem
from tests.searchers.test_searchers import advance, assert_equal_states, short

SPACE = places_problem().space


@pytest.fixture(params=[name for name in SEARCHERS if name != "pc_darts"])
def config(request):
    return short(request.param)


def test_it_ends_with_a_placement_and_goes_on_where_it_stopped(config, tmp_path):
    problem = places_problem(num_images=40)
    whole = config.start(problem)
    resumed = config.start(problem)
    for stop in (1, whole.steps_per_epoch + 1):
        torch.save(advance(resumed, stop - resumed.step).state_dict(), tmp_path / "state.pt")
        torch.manual_seed(99)
        resumed = config.start(problem)
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    advance(resumed, resumed.total_steps - resumed.step)
    advance(whole, whole.total_steps)
    found = whole.genotype()
    assert isinstance(problem.space.check(found), Placement)
    assert resumed.genotype() == found
    assert_equal_states(resumed.state_dict(), whole.state_dict())
    shares = whole.shares()
    assert shares is None or list(shares) == list(problem.space.rows)


def test_it_keeps_limits_whose_costs_differ_from_site_to_site(config):
    problem = places_problem()
    costs = {row: {"none": 0.0, "se": 1.0 + at, "coordinate": 4.0} for at, row in enumerate(SPACE.rows)}
    limits = Limits(
        problem.space, parse_target("params<=103"), {"params": PlaceTable(plain=100, sites=costs)}
    )
    search = config.start(replace(problem, limits=limits, penalty=limits.penalty()))
    advance(search, search.total_steps)
    assert limits.allows(search.genotype())


def test_pc_darts_and_top2_are_refused_in_a_line():
    with pytest.raises(InputError, match="take all channels"):
        short("pc_darts").start(places_problem())
    with pytest.raises(InputError, match="sites have none, use argmax"):
        SPACE.strongest([[1.0, 0.0, 0.0]] * 3, 2)


@pytest.mark.parametrize("candidates", [("none", "se", "simam", "coordinate"), ("se+eca", "gc", "hoga")])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_one_hot_supernet_is_the_derived_network(candidates, share):
    torch.manual_seed(0)
    space = places_of(backbone(), candidates)
    supernet = PlacesSupernet(backbone(), space).double()
    supernet.begin_step(share)
    placement = space.sample(random.Random(1))
    x = torch.randn(1, 3, 5, 7, dtype=torch.float64)
    weights = one_hot(space, placement).double()
    found = supernet.derived(placement)
    supernet.eval()
    found.eval()
    whole = supernet(x, weights=weights)
    assert_equal(whole, found(x), through=found)
    chosen = weights.argmax(1).tolist()
    assert_equal(supernet(x, weights=weights, chosen=chosen), whole, through=found)
    if share == 1.0:
        plain = attach(backbone(), placement).double()
        plain.load_state_dict(found.state_dict())
        assert torch.equal(plain.eval()(x), found(x))


def test_the_output_is_that_of_the_plain_network_at_first():
    torch.manual_seed(3)
    plain, net = backbone(), backbone()
    net.load_state_dict(plain.state_dict())
    supernet = PlacesSupernet(net, places_of(backbone(), ("none", "se", "cbam", "hoga", "gc")))
    supernet.begin_step(0.0)
    x = torch.randn(2, 3, 9, 6)
    assert torch.equal(supernet(x), plain(x))


def test_a_mixture_is_the_sum_of_its_parts():
    torch.manual_seed(0)
    space = places_of(backbone(), ("none", "se", "coordinate", "gc"))
    supernet = PlacesSupernet(backbone(), space).double().eval()
    supernet.begin_step(0.15)
    (mixed, *_) = supernet.sites().values()
    x = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    weights = torch.rand(3, 4, dtype=torch.float64)
    with supernet.mixed_by(weights):
        got = mixed(x)
    parts = sum(weights[0, int(column)] * (operator(x) - x) for column, operator in mixed.operators.items())
    assert_equal(got, x + 0.5 * parts, through=mixed)


def test_costs_by_site_add_up():
    counts: dict[Metric, Any] = {"params": params, "macs": lambda model: macs(model, (3, 12, 8))}
    for metric, count in counts.items():
        space = places_of(backbone(), ("none", "se", "coordinate", "hoga"))
        table = place_table(metric, space, backbone(), (3, 12, 8), torch.device("cpu"))
        for seed in range(3):
            placement = space.sample(random.Random(seed))
            assert table.of(placement) == count(attach(backbone(), placement))
        assert len({row["se"] for row in table.sites.values()}) == 3, "a site has its own costs"


def test_within_a_limit_too_what_stands_at_a_site_has_its_price():
    costs = {row: {"none": 0.0, "se": 2.0, "coordinate": 4.0} for row in SPACE.rows}
    table = PlaceTable(plain=100, sites=costs)
    penalty = Limits(SPACE, parse_target("params<=110"), {"params": table}).penalty(3.0)
    shares = one_hot(SPACE, SPACE.genotype(["none", "none", "none"])).double()
    assert penalty(shares) == 0
    shares = one_hot(SPACE, SPACE.genotype(["se", "none", "coordinate"])).double()
    assert penalty(shares).item() == pytest.approx(3 * 0.1 * 6 / 10)
    shares = one_hot(SPACE, SPACE.genotype(["coordinate"] * 3)).double()
    assert penalty(shares).item() == pytest.approx(3 * (0.1 * 12 / 10 + 2 / 110))


def test_what_does_not_fit_a_site_is_left_out_there_and_said(caplog):
    space = places_of(backbone(width=6), ("none", "se", "hoga"))
    assert space.left_out == (("layer1.0.bn2", "hoga"),)
    assert "hoga does not fit the channels of layer1.0.bn2" in caplog.text
    assert space.size == 2 * 3 * 3
    assert len(list(space.neighbours(space.sample(random.Random(0))))) == 1 + 2 + 2
    for seed in range(20):
        space.check(space.mutate(space.sample(random.Random(seed)), random.Random(seed)))
    problem = places_problem(space=space, backbone=lambda: backbone(width=6))
    search = advance(short("darts").start(problem), 3)
    assert (search.shares() or {})["layer1.0.bn2"]["hoga"] == 0
    problem.space.check(search.genotype())


@pytest.mark.parametrize(
    ("candidates", "sites", "message"),
    [
        (("none",), None, "leaves nothing to search"),
        (("none", "se", "se"), None, "given twice"),
        (("none", "aw"), None, "aw does not stand after a module"),
        (("none", "see"), None, "unknown attention 'see'"),
        (("none", "se"), ["layer9"], "unknown site 'layer9'"),
        ((), None, "there are no candidates"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(candidates, sites, message):
    with pytest.raises(InputError, match=message):
        places_of(backbone(), candidates, sites)


def test_attention_that_is_there_already_is_refused():
    with pytest.raises(InputError, match="has attention already"):
        places_of(attach(backbone(), "se"))


def test_the_statistics_of_a_site_are_computed_once():
    def means(*candidates):
        supernet = PlacesSupernet(backbone(), places_of(backbone(), ("none", *candidates)))
        supernet.begin_step(1.0)
        with torch.no_grad():
            return count_calls(lambda: supernet(torch.randn(1, 3, 8, 8)))["mean"]

    assert means("se", "se[reduction=8]", "gc") == means("se")


def test_memory_for_the_backward_pass_is_told_by_site(caplog):
    caplog.set_level("INFO", "searchers")
    kept = {}
    for recompute in (False, True):
        search: Any = short("darts").start(places_problem(recompute=recompute))
        caplog.clear()
        advance(search, 1)
        kept[recompute] = search.updates.kept
        assert list(kept[recompute]) == list(SPACE.rows)
        assert f"for the backward pass: {SPACE.rows[0]} " in caplog.text
    size = search.config.batch_size * 4 * 6 * 5 * 8  # one map of float64 at the first site is the least
    assert kept[False][SPACE.rows[0]] >= size
    assert sum(kept[True].values()) == 0


def test_blocks_that_are_computed_again_move_the_same():
    searches: list[Any] = [short("darts").start(places_problem(recompute=on)) for on in (False, True)]
    plain, again = searches
    advance(plain, plain.total_steps)
    advance(again, again.total_steps)
    assert plain.supernet.alphas.std() > 2e-3
    for name, value in plain.supernet.state_dict().items():
        assert_equal(again.supernet.state_dict()[name], value)
