"""Figures wait on the device, and name the step that went wrong."""

import pytest
import torch

from evaluators.job import Figures, NotFiniteError, check_weights, wide
from foundation.seeds import seed_of

CPU = torch.device("cpu")


def filled(*losses, score=0.5):
    figures = Figures(("train_loss", "score"), len(losses), CPU)
    for index, loss in enumerate(losses):
        figures.record(index, torch.tensor(loss), torch.tensor(score))
    return figures


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_step_and_the_rate_are_named(bad):
    figures = filled(1.0, 2.0, bad, bad)
    figures.check(2, 40, 0.1)
    with pytest.raises(NotFiniteError, match=r"the loss is not finite at step 42 \(learning rate 0\.025\)"):
        figures.check(4, 40, 0.025)


def test_what_is_no_loss_may_be_anything():
    filled(1.0, 2.0, score=float("nan")).check(2, 0, 0.1)


def test_steps_of_the_epoch_before_do_not_count():
    figures = filled(1.0, 2.0, float("nan"))
    figures.record(0, torch.tensor(3.0), torch.tensor(0.0))
    figures.check(1, 3, 0.1)


def test_means_are_over_the_epoch_and_come_back():
    figures = filled(1.0, 2.0, 6.0)
    other = Figures(("train_loss", "score"), 3, CPU)
    other.load_state_dict(figures.state_dict())
    assert figures.means() == other.means() == {"train_loss": 3.0, "score": 0.5}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_the_last_update_broke_are_named(bad):
    weights = [torch.ones(3), torch.zeros(0), torch.ones(2, 2)]
    check_weights(weights, 7, 0.5)
    weights[2][1, 0] = bad
    with pytest.raises(NotFiniteError, match=r"weights are not finite after step 7 \(learning rate 0\.5\)"):
        check_weights(weights, 7, 0.5)


def test_the_widest_type_is_one_that_the_device_has():
    assert wide(CPU) == torch.float64
    assert wide(torch.device("mps")) == torch.float32


def test_seeds_depend_on_every_part_and_its_place():
    seeds = {seed_of(0), seed_of(1), seed_of(0, "a"), seed_of("a", 0), seed_of(0, "a", 0), seed_of(0, "a", 1)}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(3, "order", 4) == seed_of(3, "order", 4)
