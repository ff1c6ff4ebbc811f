"""Limits on cost: what they say, exact tables, the best genotype that keeps them, an expectation."""

import itertools
import random
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch

from evaluators.cost import macs, params
from evaluators.cost_table import METRICS, CostTable, Metric, Sum, counted_table
from foundation.errors import InputError
from search_space.space import HOGA, SPACES, Space
from search_space.term import Term
from searchers.candidates import Candidates
from searchers.knapsack import Knapsack
from searchers.limits import Limit, Limits, parse_target
from supernet.attach import attach
from supernet.backbones import build_backbone

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE", "sep_conv_3x3"), num_nodes=2)
MACS = CostTable(plain=100, fixed=110, operators={"skip_connect": 0, "SE": 3, "sep_conv_3x3": 10})
LATENCY = CostTable(plain=2, fixed=3, operators={"skip_connect": 0, "SE": 1.5, "sep_conv_3x3": 0.25})


TOGETHER = replace(LATENCY, fixed=6, native=Sum(fixed=2.5, operators={"skip_connect": 0.125, "SE": 0.25}))
"""Cells of two operators run as one; a single convolution has all run apart."""


def limits(text, params=MACS, latency=LATENCY):
    return Limits(SPACE, parse_target(text), {"macs": MACS, "latency": latency, "params": params})


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("macs<=48M", Limit(metric="macs", most=48e6)),
        ("params <= 300k", Limit(metric="params", most=300e3)),
        ("macs<=46125896", Limit(metric="macs", most=46125896)),
        ("macs<=1.5G", Limit(metric="macs", most=1.5e9)),
        ("latency<=2.5x", Limit(metric="latency", most=2.5, relative=True)),
        ("latency<=12.5ms", Limit(metric="latency", most=12.5)),
    ],
)
def test_limits_are_read(text, limit):
    assert parse_target(text) == (limit,)
    assert parse_target(f"{text},params<=1M") == (limit, Limit(metric="params", most=1e6))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs<=48Q", "unknown unit 'Q' of macs; known: a bare number, k, M, G, x"),
        ("latency<=3s", "unknown unit 's' of latency; known: ms, x"),
        ("mac<=48M", "unknown metric 'mac'; did you mean macs"),
        ("macs<48M", "'macs<48M' is no limit; write for example macs<=48M"),
        ("", "'' is no limit"),
        ("macs<=1.2.3M", "1.2.3 is no number"),
        ("macs<=0", "has to be positive and finite"),
        ("macs<=1e999", "has to be positive and finite"),
    ],
)
def test_what_is_no_limit_is_refused(text, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        parse_target(text)


@pytest.mark.parametrize("num_nodes", [1, 2, 4])
def test_tables_are_exact_for_macs_and_params(num_nodes):
    space = Space(name="hoga", primitives=HOGA.primitives, num_nodes=num_nodes)

    def backbone():
        return build_backbone("cifar_resnet8", num_classes=3, in_channels=3, width=8)

    shape = (3, 7, 5)
    with torch.device("meta"):
        tables = {
            "macs": counted_table("macs", space, backbone, shape),
            "params": counted_table("params", space, backbone, shape),
        }
        assert tables["params"].plain == params(backbone())
        for seed in range(3):
            genotype = space.sample(random.Random(seed))
            network = attach(backbone(), (Term(name="hoga", genotype=genotype),))
            assert tables["macs"].of(genotype) == macs(network, shape)
            assert tables["params"].of(genotype) == params(network)


def test_an_impossible_limit_is_refused_with_the_smallest_there_is():
    with pytest.raises(InputError, match=r"no genotype has macs <= 109; the smallest has 110, 1\.1x .* 100"):
        limits("macs<=109")
    limits("macs<=110")
    with pytest.raises(InputError, match=r"latency <= 2\.8 ms; the smallest has 3 ms"):
        limits("latency<=1.4x")


def test_limits_that_only_exclude_each_other_are_refused():
    dear = CostTable(plain=1, fixed=1, operators={"skip_connect": 5, "SE": 0, "sep_conv_3x3": 5})
    with pytest.raises(InputError, match="at once, though each alone can be kept"):
        limits("macs<=110,params<=1", params=dear)


def test_a_cell_costs_what_its_way_to_run_does():
    same, mixed = (SPACE.genotype([name, "SE", "SE"]) for name in ("skip_connect", "sep_conv_3x3"))
    assert TOGETHER.of(same) == 2.5 + 0.125 + 2 * 0.25
    assert TOGETHER.of(mixed) == 6 + 0.25 + 2 * 1.5
    with pytest.raises(InputError, match=r"the smallest has 2\.875 ms"):
        limits("latency<=2.8ms", latency=TOGETHER)


@pytest.mark.parametrize(
    ("text", "latency", "out"),
    [
        ("macs<=110", LATENCY, ["SE", "sep_conv_3x3"]),
        ("macs<=113", LATENCY, ["sep_conv_3x3"]),
        ("macs<=120", LATENCY, []),
        ("latency<=6.2ms", TOGETHER, ["sep_conv_3x3"]),
        ("latency<=6.3ms", TOGETHER, []),
    ],
)
def test_what_no_genotype_within_the_limits_has_is_named(text, latency, out):
    kept = limits(text, latency=latency)
    there = {
        name for genotype in SPACE.genotypes() if kept.allows(genotype) for name in SPACE.operators(genotype)
    }
    assert kept.left_out() == out == [name for name in SPACE.candidates if name not in there]


@pytest.mark.parametrize("latency", [LATENCY, TOGETHER])
@pytest.mark.parametrize(
    "text",
    ["macs<=125", "macs<=1.2x,latency<=2.1x", "macs<=1.2x,latency<=3.3x", "latency<=3.2ms", "latency<=7.8ms"],
)
def test_the_best_genotype_under_limits_is_the_best_of_all_that_keep_them(text, latency):
    kept = limits(text, latency=latency)
    rng = random.Random(text)
    for _ in range(20):
        scores = [[rng.random() for _ in SPACE.primitives] for _ in SPACE.edges]

        def value(genotype, scores=scores):
            operators = SPACE.operators(genotype)
            return sum(row[SPACE.primitives.index(name)] for row, name in zip(scores, operators))

        allowed = [genotype for genotype in SPACE.genotypes() if kept.allows(genotype)]
        best = kept.best(scores)
        assert kept.allows(best)
        assert value(best) == pytest.approx(max(map(value, allowed)), abs=1e-12)


def test_a_derived_genotype_stays_where_it_can_and_keeps_its_edges_where_it_cannot():
    kept = limits("macs<=115")
    weights = [[0.1, 0.1, 0.2, 0.6]] * 3
    light = SPACE.genotype(["SE", "skip_connect", "skip_connect"])
    assert kept.keep(light, weights) is light
    heavy = SPACE.genotype(["sep_conv_3x3"] * 3)
    assert kept.allows(kept.keep(heavy, weights))
    fewer = heavy.__class__.of([[("sep_conv_3x3", 0)], [("sep_conv_3x3", 1)]])
    found = kept.keep(fewer, weights)
    assert kept.allows(found)
    assert [(i, edge.index) for i, edge in found.edges()] == [(1, 0), (2, 1)]


@pytest.mark.parametrize("latency", [LATENCY, TOGETHER])
def test_the_penalty_is_the_excess_of_the_expected_cost_and_is_differentiable(latency):
    kept = limits("macs<=115,latency<=2x", latency=latency)
    torch.manual_seed(0)
    alphas = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    mixing = alphas.softmax(1)
    chances = mixing[:, 1:] / mixing[:, 1:].sum(1, keepdim=True)  # `none` is never derived
    expected = dict.fromkeys(kept.tables, 0.0)
    for columns in itertools.product(range(3), repeat=3):
        genotype = SPACE.genotype([SPACE.candidates[column] for column in columns])
        chance = torch.stack([row[column] for row, column in zip(chances, columns)]).prod().item()
        for metric, cost in kept.costs(genotype).items():
            expected[metric] += chance * cost
    above = [max(0, expected["macs"] / 115 - 1), max(0, expected["latency"] / 4 - 1)]
    penalty = kept.penalty()(mixing)
    assert penalty.item() == pytest.approx(sum(above), abs=1e-12)
    assert sum(above) > 0
    assert torch.autograd.gradcheck(lambda a: kept.penalty()(a.softmax(1)), alphas)
    generous = limits("macs<=1000")
    assert generous.penalty()(mixing).item() == 0
    certain = torch.tensor([[0.0, 0.0, 0.0, 1.0]] * 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(kept.penalty()(certain), certain)
    assert gradient.isfinite().all(), "where no row has an operator of those that run as one"
    assert kept.penalty(3.0)(mixing).item() == pytest.approx(3 * sum(above), abs=1e-12)


def test_draws_and_mutations_keep_limits_that_almost_nothing_keeps():
    space = Space(name="hoga", primitives=SPACE.primitives, num_nodes=4)
    table = CostTable(plain=1, fixed=0, operators={"skip_connect": 0, "SE": 1, "sep_conv_3x3": 2})
    kept = Limits(space, parse_target("macs<=1"), {"macs": table})  # 11 of 59,049
    candidates = Candidates(space=space, limits=kept, seed=0)
    genotype = candidates.sample(random.Random(0))
    for seed in range(10):
        genotype = candidates.mutate(genotype, random.Random(seed))
        assert kept.allows(genotype)
        assert kept.allows(candidates.sample(random.Random(seed)))


@pytest.mark.parametrize("latency", [LATENCY, TOGETHER])
def test_limits_survive_json(latency):
    kept = limits("macs<=1.2x,latency<=3.3ms", latency=latency)
    again = Limits.from_values(SPACE, kept.to_values())
    assert again == kept


@pytest.mark.parametrize("budgets", [1, 2, 3])
def test_a_knapsack_is_the_best_of_all_choices(budgets):
    rng = random.Random(budgets)
    outcomes = set()
    for _ in range(25):
        costs = [tuple(float(rng.randint(0, 9)) for _ in range(budgets)) for _ in range(4)]
        scores = [[rng.choice([rng.random(), 0.5, -7.0]) for _ in costs] for _ in range(4)]
        bounds = tuple(float(rng.randint(2, 30)) for _ in range(budgets))
        knapsack = Knapsack(scores, [costs] * 4, (1.0,) * budgets, bounds)
        values = {}
        for items in itertools.product(range(4), repeat=4):
            spent = [1 + sum(costs[item][budget] for item in items) for budget in range(budgets)]
            if all(cost <= most for cost, most in zip(spent, bounds)):
                values[items] = sum(row[item] for row, item in zip(scores, items))
        best = knapsack.best(lambda items, values=values: items in values)
        assert knapsack.within(lambda items, values=values: items in values) == bool(values)
        assert (best is not None) == bool(values)
        if best is not None:
            assert values[best] == pytest.approx(max(values.values()), abs=1e-12)
        outcomes.add(best is None)
    assert outcomes == {False, True}


def test_a_choice_that_is_refused_at_last_is_followed_by_the_next_one():
    knapsack = Knapsack([[1.0, 2.0], [1.0, 2.0]], [[(0.0,), (1.0,)]] * 2, (0.0,), (5.0,))
    assert knapsack.best(lambda items: True) == (1, 1)
    assert knapsack.best(lambda items: False) is None


def test_three_limits_on_the_wide_space_take_few_calls():
    space = SPACES["hoga_wide"]
    rng = random.Random(0)
    tables: dict[Metric, CostTable] = {
        metric: CostTable(
            plain=100, fixed=110, operators={name: 10 * rng.random() ** 3 for name in space.candidates}
        )
        for metric in METRICS
    }
    kept = Limits(space, parse_target("macs<=1.3x,params<=1.3x,latency<=1.25x"), tables)
    scores = [[rng.random() for _ in space.primitives] for _ in space.edges]
    calls = Counter[str]()
    sys.setprofile(lambda frame, event, argument: calls.update((event,)))
    try:
        best = kept.best(scores)
    finally:
        sys.setprofile(None)
    assert calls["call"] + calls["c_call"] < 1_000_000, calls
    assert kept.allows(best)
