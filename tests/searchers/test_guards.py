"""Guards: what they see, when they stop a search, and which answer is left then."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.space import Space
from searchers.darts import Darts
from searchers.drnas import DrNas
from searchers.guards import Guards
from searchers.searches.curvature import alpha_eigenvalue, hessian_product, largest_eigenvalue
from searchers.searches.watch import Watch, kendall
from searchers.settings import Differentiable
from tests.searchers.problems import small_problem

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE"), num_nodes=2)
SKIP = 1


def finish_epoch(search):
    while True:
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            return search.report()


def collapsing(guards, **settings):
    """A search whose alphas are pushed to skip connections at the start of its third epoch."""
    search = Darts(**({"epochs": 6, "batch_size": 10, "guards": guards} | settings)).start(
        small_problem(space=SPACE, num_images=40)
    )
    with torch.no_grad():
        search.supernet.alphas[:, SKIP] -= 1.0
    finish_epoch(search)
    finish_epoch(search)
    return search


def push(search):
    with torch.no_grad():
        search.supernet.alphas[:, SKIP] += 9.0


def test_a_collapse_stops_the_search_with_the_answer_from_before_it():
    search = collapsing(Guards(most_skips=2))
    assert search.stopped is None
    before, shares = search.genotype(), search.shares()
    push(search)
    figures = finish_epoch(search)
    assert search.step == search.total_steps == 3 * search.steps_per_epoch
    assert search.stopped == (
        "stopped after epoch 3: skip_connect leads on 3 edges, more than 2; the answer is that of epoch 2"
    )
    assert search.genotype() == before
    assert search.shares() == shares
    assert figures["skip_edges"] == 3.0
    assert figures["changed_edges"] == 3.0
    # It stays so where the search is stored and goes on.
    other = collapsing(Guards(most_skips=2))
    other.load_state_dict(search.state_dict())
    assert other.genotype() == before
    assert other.step == other.total_steps
    assert other.stopped == search.stopped


def started(guards, num_images=20, config: type[Differentiable] = Darts, **settings) -> Any:
    return config(**({"epochs": 6, "batch_size": 10, "guards": guards} | settings)).start(
        small_problem(space=SPACE, num_images=num_images)
    )


def end_epoch(search, skips, epoch):
    """Ends an epoch with alphas that prefer skip_connect on the first edges, most on the last of them."""
    with torch.no_grad():
        search.supernet.alphas.copy_(torch.tensor([0.0, -9.0, 1.0]).expand(3, 3))
        search.supernet.alphas[:skips, SKIP] = 5.0 + torch.arange(float(skips))
    search.finish_epoch(epoch)


def test_the_first_epochs_answer_keeps_the_rule_that_it_broke():
    search = started(Guards(most_skips=2))
    end_epoch(search, 3, 0)
    assert search.stopped == (
        "stopped after epoch 1: skip_connect leads on 3 edges, more than 2; the answer is that of epoch 1, "
        "with skip_connect left on the edges it leads most on"
    )
    assert SPACE.operators(search.genotype()) == ("SE", "skip_connect", "skip_connect")
    other = started(Guards(most_skips=2))
    other.load_state_dict(search.state_dict())
    assert other.genotype() == search.genotype()


def test_no_rule_holds_while_the_alphas_rest():
    search = started(Guards(most_skips=1), alpha_warmup=0.4)
    end_epoch(search, 3, 0)
    end_epoch(search, 0, 1)
    assert search.stopped is None
    end_epoch(search, 2, 2)
    assert search.stopped is not None
    assert search.stopped.endswith("the answer is that of epoch 2")


def test_the_answer_has_the_operators_that_were_alive_then():
    search = started(Guards(most_skips=2), config=DrNas, epochs=4, keep=0.34)
    with torch.no_grad():  # SE leads narrowly: it is pruned in the epoch that goes wrong
        search.supernet.alphas.copy_(torch.tensor([-1.0, 0.5, 0.6]).expand(3, 3))
    search.finish_epoch(0)
    before = search.genotype()
    end_epoch(search, 3, 1)
    assert search.mixture.alive.tolist() == [[False, True, False]] * 3
    assert search.stopped is not None
    assert search.genotype() == before
    assert {edge.operator for _, edge in before.edges()} == {"SE"}


def test_without_a_rule_it_goes_on():
    search = collapsing(Guards())
    push(search)
    finish_epoch(search)
    assert search.stopped is None
    assert search.total_steps == 6 * search.steps_per_epoch
    assert {edge.operator for _, edge in search.genotype().edges()} == {"skip_connect"}


def test_a_stop_is_followed_by_the_perturbation_that_was_asked_for():
    search = collapsing(Guards(most_skips=2), derive="perturbation")
    push(search)
    finish_epoch(search)
    assert search.stopped is not None
    assert search.total_steps == (3 + 2) * search.steps_per_epoch
    while search.step < search.total_steps:
        search.advance()
    assert search.mixture.alive.sum(1).tolist() == [1, 1, 1]


def test_figures_of_a_search():
    search = Darts(epochs=2, batch_size=10).start(small_problem(space=SPACE))
    first, second = finish_epoch(search), finish_epoch(search)
    rows = search.mixture.shares().detach()
    assert second["skip_share"] == pytest.approx(rows[:, 1].mean().item())
    assert second["none_share"] == pytest.approx(rows[:, 0].mean().item())
    assert -1 <= second["rank_stability"] <= 1
    assert "rank_stability" not in first
    assert "alpha_eigenvalue" not in second


def test_kendall_counts_pairs_in_order():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 5, generator=generator).unbind()
    pairs = list(itertools.combinations(range(5), 2))
    expected = [
        sum(1 if (x[i] - x[j]) * (y[i] - y[j]) > 0 else -1 for i, j in pairs) / len(pairs)
        for x, y in zip(a.tolist(), b.tolist())
    ]
    assert kendall(a, b) == pytest.approx(sum(expected) / 3)
    assert kendall(a, a) == 1.0
    assert kendall(a, -a) == -1.0


def watch(values, **settings):
    guards = Guards(**({"curvature_every": 1, "most_growth": 1.3, "window": 2} | settings))
    seen = Watch(guards, SPACE)
    for value in values:
        seen.eigenvalues[len(seen.shares)] = value
        seen.see(torch.rand(3, 3), torch.rand(3, 3))
        if seen.stops():
            break
    return seen


def test_an_eigenvalue_that_grows_stops_the_search():
    seen = watch([1.0, 1.2, 1.1, 1.2, 2.4])  # averages 1.1, then 1.8
    assert seen.answer == 2
    assert seen.stopped == (
        "stopped after epoch 5: the largest eigenvalue of the alphas' Hessian grew 1.57 times, "
        "more than 1.3; the answer is that of epoch 3"
    )
    assert watch([1.0, 1.2, 1.1, 1.2, 1.3, 1.4]).stopped is None
    assert watch([1.0, 9.0, 9.0]).stopped is None  # no two windows yet
    assert watch([-1.0, -1.0, 5.0, 5.0]).stopped is None  # no quotient


def test_an_eigenvalue_is_measured_when_it_is_due():
    guards = Guards(curvature_every=2)
    search = Darts(epochs=3, batch_size=10, guards=guards).start(small_problem(space=SPACE, num_images=40))
    figures = [finish_epoch(search) for _ in range(3)]
    assert ["alpha_eigenvalue" in row for row in figures] == [False, True, False]


@pytest.mark.parametrize("form", ["plain", "grouped"])
def test_the_eigenvalue_is_that_of_the_hessian(form):
    search = Darts(epochs=1, batch_size=10).start(small_problem(space=SPACE, num_images=40, form=form))
    search.advance()
    before = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    value = alpha_eigenvalue(search)
    for name, kept in search.supernet.state_dict().items():
        assert torch.equal(kept, before[name]), name
    images, labels = search.alpha_batches.batch(0, 0)

    def loss(alphas):
        return F.cross_entropy(search.supernet(images, alphas.view(3, 3).softmax(1)), labels)

    hessian = torch.autograd.functional.hessian(loss, search.supernet.alphas.detach().flatten())
    assert value == pytest.approx(torch.linalg.eigvalsh(torch.as_tensor(hessian))[-1].item(), rel=1e-8)


def test_lanczos_finds_the_largest_of_many():
    generator = torch.Generator().manual_seed(1)
    root = torch.linalg.qr(torch.randn(90, 90, generator=generator, dtype=torch.float64))[0]
    values = torch.linspace(-2, 1, 90, dtype=torch.float64)
    values[-1] = 1.5
    matrix = root @ torch.diag(values) @ root.T
    found = largest_eigenvalue(lambda v: (matrix @ v.flatten()).view_as(v), torch.zeros(10, 9).double(), 40)
    assert found == pytest.approx(1.5, rel=1e-3)
    alphas = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    product = hessian_product((alphas[0].square() * torch.tensor([1.0, 3.0])).sum(), alphas)
    assert largest_eigenvalue(product, alphas) == pytest.approx(6.0)
    broken = largest_eigenvalue(lambda v: v * torch.nan, alphas)
    assert broken != broken


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"most_skips": -1}, "most_skips=-1 is negative; 0 turns it off"),
        ({"window": 0}, "window=0 is not positive"),
        ({"most_growth": 1.3}, r"give guards\.curvature_every as well"),
    ],
)
def test_impossible_rules_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Guards(**wrong)
