"""GDAS draws one operator an edge, computes nothing else, and gives it the softmax's gradient."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric import Fabric

from benchmarks.measure import count_calls
from foundation.errors import InputError
from search_space.space import HOGA
from searchers.darts import Darts
from searchers.gdas import Gdas
from searchers.snas import Snas
from supernet.backbones import build_backbone
from tests.equality import assert_equal
from tests.searchers.problems import small_problem


def test_its_step_costs_at_most_half_of_that_of_darts():
    problem = small_problem(
        space=HOGA,
        form="grouped",
        backbone=lambda: build_backbone("cifar_resnet8", num_classes=3),
        fabric=Fabric(accelerator="cpu", devices=1),
    )
    darts, gdas = (config(epochs=9, batch_size=5).start(problem) for config in (Darts, Gdas))
    whole = count_calls(darts.advance).total()
    drawn = [count_calls(gdas.advance).total() for _ in range(6)]
    assert sum(drawn) / len(drawn) <= whole / 2


def test_draws_are_one_hot_with_the_gradient_of_the_softmax():
    search = Gdas(epochs=4, batch_size=10).start(small_problem())
    torch.manual_seed(0)
    mixing = search.mixture.draw()
    assert torch.equal(mixing.sort(1).values[:, -1], torch.ones(10, dtype=mixing.dtype))
    assert mixing.detach().count_nonzero() == 10
    factors = torch.rand_like(mixing)
    (slope,) = torch.autograd.grad((mixing * factors).sum(), [search.supernet.alphas])
    torch.manual_seed(0)
    alphas = search.supernet.alphas
    noise = -torch.log(torch.empty_like(alphas).exponential_())
    soft = torch.softmax((alphas.log_softmax(1) + noise) / 10.0, 1)
    (expected,) = torch.autograd.grad((soft * factors).sum(), [alphas])
    assert_equal(slope, expected)
    assert torch.equal(mixing.argmax(1), soft.argmax(1))


def test_draws_follow_the_alphas():
    search = Gdas(epochs=4, batch_size=10).start(small_problem())
    alphas = search.supernet.alphas
    with torch.no_grad():
        alphas.copy_(torch.randn(alphas.shape, generator=torch.Generator().manual_seed(0)))
        torch.manual_seed(0)
        mean = torch.stack([search.mixture.draw() for _ in range(4000)]).mean(0)
    assert (mean - alphas.softmax(1)).abs().max() < 0.04  # five deviations


@pytest.mark.parametrize(
    ("config", "expected"), [(Gdas, (10.0, 5.05, 0.1)), (Snas, (1.0, 0.1**0.5, 0.1))], ids=["gdas", "snas"]
)
def test_the_temperature_falls(config, expected):
    search = config(epochs=3, batch_size=10).start(small_problem())
    for epoch, temperature in enumerate(expected):
        search.step = epoch * search.steps_per_epoch
        search.advance()
        assert search.mixture.temperature == pytest.approx(temperature)


@pytest.mark.parametrize("config", [Gdas, Snas])
@pytest.mark.parametrize("wrong", [{"temperature": 0.05}, {"min_temperature": 0.0}])
def test_a_temperature_has_to_fall_and_stay_positive(config, wrong):
    with pytest.raises(InputError, match="give positive ones"):
        config(**wrong)


def test_a_single_level_moves_both_on_both_halves():
    search = Snas(epochs=2, batch_size=10).start(small_problem())
    for update, batches in (
        (search.updates.update_alphas, search.alpha_batches),
        (search.updates.update_weights, search.weight_batches),
    ):
        alphas = search.supernet.alphas.detach().clone()
        weights = [weight.detach().clone() for weight in search.updates.parameters]
        update(*batches.batch(0, 0))
        assert not torch.equal(search.supernet.alphas, alphas)
        assert any(not torch.equal(new, old) for new, old in zip(search.updates.parameters, weights))
