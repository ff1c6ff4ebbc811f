"""How each searcher turns alphas into mixing weights, against its formula."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.distributions import Dirichlet
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.space import HOGA
from searchers.drnas import DrNas
from searchers.fair_darts import FairDarts
from searchers.pc_darts import PcDarts
from searchers.searches.sgas import Decisions
from searchers.sgas import Sgas
from tests.searchers.problems import small_problem


def started(config, **settings):
    search = config(**({"epochs": 4, "batch_size": 10} | settings)).start(small_problem())
    with torch.no_grad():
        for number, parameter in enumerate(search.mixture.architecture):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    return search


def test_pc_darts_weighs_the_edges_of_a_node():
    search = started(PcDarts)
    weights, start = [], 0
    for i in range(1, 5):
        rows = search.supernet.alphas[start : start + i].softmax(1)
        weights.append(rows * search.mixture.betas[start : start + i].softmax(0)[:, None])
        start += i
    expected = torch.cat(weights)
    torch.testing.assert_close(search.mixture.draw(), expected)
    torch.testing.assert_close(search.mixture.strengths(), expected)
    torch.testing.assert_close(search.mixture.shares(), search.supernet.alphas.softmax(1))


def test_pc_darts_learns_its_betas():
    search = PcDarts(epochs=1, batch_size=10, alpha_warmup=0.0).start(small_problem())
    before = search.mixture.betas.detach().clone()
    search.advance()
    assert not torch.equal(search.mixture.betas, before)
    other = PcDarts(epochs=1, batch_size=10, alpha_warmup=0.0).start(small_problem())
    other.load_state_dict(search.state_dict())
    assert torch.equal(other.mixture.betas, search.mixture.betas)


def test_alphas_rest_at_first():
    search = PcDarts(epochs=4, batch_size=10, alpha_warmup=0.5).start(small_problem())
    before = search.supernet.alphas.detach().clone()
    for _ in range(2 * search.steps_per_epoch):
        search.advance()
    assert torch.equal(search.supernet.alphas, before)
    assert search.report()["alpha_loss"] > 0
    search.advance()
    assert not torch.equal(search.supernet.alphas, before)


def test_fair_darts_has_a_sigmoid_for_every_operator():
    search = started(FairDarts, zero_one=3.0)
    expected = torch.sigmoid(search.supernet.alphas)
    torch.testing.assert_close(search.mixture.draw(), expected)
    torch.testing.assert_close(search.mixture.shares(), expected / expected.sum(1, keepdim=True))
    mean = sum((s - 0.5) ** 2 for s in expected.flatten().tolist()) / expected.numel()
    assert search.mixture.regularizer().item() == pytest.approx(-3.0 * mean)


def test_fair_darts_starts_where_its_loss_is_flat():
    search = FairDarts(epochs=1, batch_size=10).start(small_problem())
    assert search.supernet.alphas.count_nonzero() == 0


def test_drnas_draws_from_a_dirichlet_distribution():
    search = started(DrNas)
    concentrations = F.elu(search.supernet.alphas) + 1
    torch.manual_seed(0)
    drawn = torch.stack([search.mixture.draw() for _ in range(2000)])
    torch.testing.assert_close(drawn.sum(2), torch.ones_like(drawn.sum(2)))
    distribution = Dirichlet(concentrations.detach())
    error = (drawn.mean(0) - distribution.mean).abs() / (distribution.variance / 2000).sqrt()
    assert error.max() < 5  # deviations
    torch.testing.assert_close(search.mixture.shares(), distribution.mean)
    assert search.mixture.regularizer() is None


def test_drnas_gradients_follow_the_path():
    search = started(DrNas)
    factors = torch.rand(10, 4, dtype=torch.float64)
    torch.manual_seed(0)
    drawn = torch.stack([(search.mixture.draw() * factors).sum() for _ in range(3000)]).mean()
    (slope,) = torch.autograd.grad(drawn, [search.supernet.alphas])
    (expected,) = torch.autograd.grad((search.mixture.shares() * factors).sum(), [search.supernet.alphas])
    assert (slope - expected).abs().max() < 0.02


def test_drnas_is_pulled_to_its_prior():
    search = started(DrNas, kl=0.1)
    divergence = search.mixture.regularizer()
    assert divergence is not None
    (slope,) = torch.autograd.grad(divergence, [search.supernet.alphas])
    assert (slope * search.supernet.alphas).sum() > 0
    with torch.no_grad():
        search.supernet.alphas.zero_()
    divergence = search.mixture.regularizer()
    assert divergence is not None
    assert divergence.item() == pytest.approx(0.0, abs=1e-12)


def test_drnas_drops_the_weakest_halfway():
    search = DrNas(epochs=4, batch_size=10, keep=0.5).start(small_problem())
    for _ in range(2 * search.steps_per_epoch):
        search.advance()
    assert search.mixture.alive.sum(1).tolist() == [2] * 10
    mixing = search.mixture.draw()
    assert bool((mixing[~search.mixture.alive] == 0).all())
    torch.testing.assert_close(mixing.sum(1), torch.ones(10, dtype=mixing.dtype))


def test_sgas_decides_edge_by_edge():
    search = Sgas(epochs=12, batch_size=15, before=0.2, after=0.1).start(small_problem(num_images=30))
    decided, genotypes = [], []
    while search.step < search.total_steps:
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            decided.append(int((search.mixture.alive.sum(1) == 1).sum()))
            rows = search.mixture.shares().detach()
            genotypes.append(
                {i: int(rows[i].argmax()) for i in range(10) if search.mixture.alive[i].sum() == 1}
            )
    assert decided[:2] == [0, 0]
    assert decided[2] == 1
    assert decided == sorted(decided)
    assert decided[-2:] == [10, 10]
    for early, late in itertools.pairwise(genotypes):
        assert early.items() <= late.items()
    names = [search.problem.space.primitives[column] for column in genotypes[-1].values()]
    assert "none" not in names
    assert sorted(names) == sorted(edge.operator for _, edge in search.genotype().edges())


def test_sgas_follows_the_public_schedule():
    # cnn/train_search.py: 8 edges of one cell, decisions after the epochs 9, 14, ... 44 of 50.
    decisions = Decisions(Sgas(batch_size=10))
    due = [decisions.due(epoch, 8) for epoch in range(50)]
    assert [epoch for epoch in range(1, 50) if due[epoch] > due[epoch - 1]] == [9, 14, 19, 24, 29, 34, 39, 44]


def test_sgas_prefers_important_certain_and_stable_edges():
    decisions = Decisions(Sgas(batch_size=10, stability=True))
    importance = torch.tensor([0.5, 0.9, 0.9, 0.9])
    shares = torch.tensor([[0.98, 0.01, 0.01], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
    all_open = torch.ones(4, dtype=torch.bool)
    assert decisions.scores(importance, shares, all_open).argmax() in (1, 3)
    decisions.past = [torch.tensor([[0.98, 0.01, 0.01], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1]])]
    assert decisions.scores(importance, shares, all_open).argmax() == 1


@pytest.mark.parametrize("stability", [False, True])
def test_sgas_scores_open_edges_as_if_there_were_no_others(stability):
    decisions = Decisions(Sgas(batch_size=10, stability=stability))
    generator = torch.Generator().manual_seed(0)
    importance = torch.rand(6, generator=generator)
    shares, past = torch.rand(2, 6, 3, generator=generator).softmax(-1)
    decided = torch.tensor([False, True, False, False, True, False])
    importance[decided], shares[decided], past[decided] = 1.0, torch.eye(3)[:2], torch.eye(3)[1:]
    decisions.past = [past]
    found = decisions.scores(importance, shares, ~decided)
    decisions.past = [past[~decided]]
    alone = decisions.scores(importance[~decided], shares[~decided], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(found[~decided], alone)
    assert bool((found[decided] == -torch.inf).all())


def test_drnas_never_leaves_an_edge_with_none_alone():
    search = DrNas(epochs=4, batch_size=10, keep=0.25).start(small_problem())
    with torch.no_grad():
        search.supernet.alphas.copy_(torch.tensor([3.0, 0.0, 2.0, 1.0]).expand(10, 4))
    search.finish_epoch(1)
    assert search.mixture.alive.tolist() == [[False, False, True, False]] * 10
    assert {edge.operator for _, edge in search.genotype().edges()} == {"SE"}


def test_decided_edges_keep_their_alphas():
    search = Sgas(epochs=2, batch_size=10).start(small_problem())
    search.mixture.settle(3, 2)
    before = search.supernet.alphas.detach().clone()
    search.advance()
    assert torch.equal(search.supernet.alphas[3], before[3])
    assert not torch.equal(search.supernet.alphas[2], before[2])


@pytest.mark.parametrize(
    ("config", "wrong", "message"),
    [
        (PcDarts, {"parts": 0}, "parts=0 is not positive"),
        (FairDarts, {"zero_one": -1.0}, "zero_one=-1.0 is negative"),
        (DrNas, {"keep": 0.0}, "keep=0.0 is not in 0"),
        (DrNas, {"kl": -1.0}, "kl=-1.0 is negative"),
        (Sgas, {"before": 0.6, "after": 0.5}, "leave no epoch for decisions"),
        (Sgas, {"history": 0}, "history=0 is not positive"),
        (Sgas, {"derive": "perturbation"}, "sgas decides the edges itself"),
        (PcDarts, {"alpha_warmup": 1.0}, "alpha_warmup=1.0 is not in 0"),
        (PcDarts, {"momentum": 0.0, "nesterov": True}, "nesterov needs a momentum"),
    ],
)
def test_impossible_settings_are_refused(config, wrong, message):
    with pytest.raises(InputError, match=message):
        config(**wrong)


def test_a_penalty_is_told_what_the_alphas_stand_for():
    seen = []

    def penalty(weights):
        seen.append(weights)
        return 50.0 * weights[:, 1].sum()

    for config in (PcDarts, FairDarts, DrNas, Sgas):
        problem = small_problem(penalty=penalty)
        search = config(epochs=1, batch_size=10, alpha_warmup=0.0).start(problem)
        before = search.mixture.shares()[:, 1].detach()
        search.advance()
        assert (search.mixture.shares()[:, 1] < before).all()
        torch.testing.assert_close(seen[-1].sum(1), torch.ones(10, dtype=torch.float64))
    assert len(HOGA.edges) == 10


@pytest.mark.parametrize(("config", "own"), [(PcDarts, set()), (DrNas, set()), (Sgas, {"past"})])
def test_the_keys_of_a_state_stay_so_that_checkpoints_go_on(config, own):
    state = config(epochs=1, batch_size=10).start(small_problem()).state_dict()
    kept = {"step", "supernet", "architecture", "alive", "search_epochs", "watch", "figures"}
    assert state.keys() == kept | {"weight_optimizer", "alpha_optimizer"} | own
    assert state["watch"].keys() == {"strengths", "shares", "eigenvalues", "stopped", "answer"}
