"""Derivation by perturbation: what is missed most stays."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.space import Space
from searchers.darts import Darts
from searchers.perturbation import Perturbation
from searchers.searches.perturbation import losses_without, most_missed, order_of_edges
from tests.searchers.problems import small_problem

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE"), num_nodes=2)


def started(**settings):
    settings = {"epochs": 1, "batch_size": 10, "derive": "perturbation"} | settings
    return Darts(**settings).start(small_problem(space=SPACE, num_images=40))


def test_it_judges_by_the_loss_without_an_operator():
    search = started()
    search.advance()
    before = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    losses = losses_without(search, 1, [1, 2], 0)
    for name, kept in search.supernet.state_dict().items():
        assert torch.equal(kept, before[name]), name
    for column, loss in zip((1, 2), losses):
        mixing = search.supernet.alphas.detach().softmax(1)
        mixing[1, column] = 0
        mixing[1] /= mixing[1].sum()
        values = [
            F.cross_entropy(search.supernet(images, mixing), labels).item()
            for images, labels in (search.alpha_batches.batch(0, index) for index in range(2))
        ]
        assert loss == pytest.approx(sum(values) / 2, rel=1e-10)
    assert most_missed(search, 1, 0) == 1 + losses.index(max(losses))


def test_edges_are_decided_one_an_interval():
    search = started(perturbation=Perturbation(epochs=2, batches=1))
    assert search.total_steps == (1 + 2 * 2) * search.steps_per_epoch
    decided = []
    while search.step < search.total_steps:
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            decided.append([row for row in order_of_edges(0, 3) if search.mixture.alive[row].sum() == 1])
            search.report()
    order = order_of_edges(0, 3)
    assert decided == [order[:1], order[:1], order[:2], order[:2], order]
    assert not search.mixture.alive[:, 0].any()
    chosen = {
        edge: SPACE.primitives[int(row.argmax())]
        for edge, row in zip(SPACE.edges, search.mixture.alive.float())
    }
    assert {(node, edge.index): edge.operator for node, edge in search.genotype().edges()} == chosen
    assert all(row[chosen[edge]] == 1.0 for edge, row in search.shares().items())


def test_all_at_once_needs_no_tuning():
    search = started(perturbation=Perturbation(epochs=0, batches=1))
    assert search.total_steps == search.steps_per_epoch
    for _ in range(search.total_steps):
        search.advance()
    assert search.mixture.alive.sum(1).tolist() == [1, 1, 1]


def test_tuning_has_a_tenth_of_the_rate():
    search = started(epochs=4)
    assert search.schedule.rate(3) < search.schedule.rate(0) == 0.025
    assert search.schedule.rate(4) == pytest.approx(0.0025)
    assert 1e-4 < search.schedule.rate(5) < 0.0025


def test_it_resumes_between_two_decisions():
    whole, first, second = (started(perturbation=Perturbation(batches=1)) for _ in range(3))
    for _ in range(whole.total_steps):
        whole.advance()
    for _ in range(first.steps_per_epoch + 1):
        first.advance()
    second.load_state_dict(first.state_dict())
    for _ in range(whole.total_steps - second.step):
        second.advance()
    assert second.genotype() == whole.genotype()
    assert torch.equal(second.supernet.alphas, whole.supernet.alphas)


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"batches": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match="is negative"):
        Perturbation(**wrong)
